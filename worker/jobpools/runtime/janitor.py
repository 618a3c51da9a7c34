"""Takes over the jobs of workers that vanished. Rescue is a claim: the lease becomes ours, then the job is settled."""

import asyncio
import time
from collections.abc import Sequence
from functools import partial

from jobpools.core.jobs.job import Outcome, OutcomeKind
from jobpools.errors import StoreError
from jobpools.rescue import Rescuer, vanished
from jobpools.runtime.lane import Lane
from jobpools.runtime.lease import LeaseThread
from jobpools.runtime.metrics import Metrics
from jobpools.runtime.outage import Outage, away
from jobpools.runtime.processor import Processor
from jobpools.settings import WorkerSettings
from jobpools.store import connect, draws, writes

INTERVAL = 0.3
"""The interval between two looks, as a share of the lease: 3 s of 10 s, and a little more by chance."""
NAME = "rescue"
"""Name of the janitor's conversation with Redis."""


class Janitor:
    """Looks for expired leases in all queues that the worker serves."""

    def __init__(  # noqa: PLR0913  # the parts of a worker that a rescue concerns
        self,
        settings: WorkerSettings,
        lanes: Sequence[Lane],
        *,
        processor: Processor,
        outage: Outage,
        metrics: Metrics,
        connection: connect.Connection,
        leases: LeaseThread,
    ) -> None:
        self._lease = settings.lease
        self._interval = settings.lease * INTERVAL
        self._leases = leases
        self._worker = processor.worker
        self._lanes = lanes
        self._outage = outage
        self._metrics = metrics
        self._rescuers = {
            lane.queue: Rescuer(
                connection, self._worker, lease_ms=lane.lease_ms, max_crashes=lane.max_crashes, keep=lane.keep
            )
            for lane in lanes
        }

    async def run(self) -> None:
        """Look again and again."""
        while True:
            # By chance up to a third longer, so that many workers do not look at the same moment.
            await asyncio.sleep(self._interval * (1 + draws.fraction() / 3))
            await self._renewed()
            if self._outage.known_beside(NAME):
                continue
            # After a failure, the first success ends the outage; the next pass rescues expired leases.
            failed = self._outage.failing(NAME)
            errors = [error for lane in self._lanes if (error := await self._tried(lane, failed=failed)) is not None]
            if errors:
                self._outage.noticed(errors[0], NAME)
            else:
                self._outage.over(NAME)

    async def _tried(self, lane: Lane, *, failed: bool) -> StoreError | None:
        """Check one queue; returns the server's error if it concerns the whole server.

        `failed`: the latest look did; then this one only proves that a write is accepted.
        """
        try:
            await (lane.prove() if failed else self._look(lane))
        except StoreError as error:
            if away(error):
                return error
            lane.tell(error)
        return None

    async def _renewed(self) -> None:
        """After a standstill of the process our own leases may have run out: first the lease thread renews them."""
        until = time.monotonic() + self._lease
        while self._leases.renewed + self._lease / 2 < time.monotonic() < until:  # noqa: ASYNC110  # a thread's doing
            await asyncio.sleep(0.01)

    async def _look(self, lane: Lane) -> None:
        now = time.monotonic()
        lane.unanswered = [(tail, until) for tail, until in lane.unanswered if until > now]
        if lane.unanswered:
            # Their jobs were never begun: back with them now, before their leases run out and count as a crash.
            await self._take_over(lane, [tail for tail, _ in lane.unanswered])
        # After an outage, leases of live workers may have expired: give the workers time to renew them.
        if now >= self._outage.ended + self._lease / 2:
            await self._take_over(lane, ())

    async def _take_over(self, lane: Lane, tails: Sequence[str]) -> None:
        swept = await self._rescuers[lane.queue].sweep(
            lane.queue, holders=tails, cause=self._cause, goes_on=partial(self._goes_on, lane)
        )
        lane.lose(swept.dropped)
        self._metrics.rescued += sum(each.outcome.kind is OutcomeKind.CRASHED for each in swept.rescued)

    def _goes_on(self, lane: Lane, taken: writes.Taken) -> bool:
        """Return whether it is this worker's attempt, renewed too late: it continues under the new fence."""
        run = lane.running(taken.id) if taken.former == self._worker else None
        if run is None:
            return False
        lane.move(run, taken.member)
        return True

    def _cause(self, taken: writes.Taken) -> Outcome:
        if taken.former == self._worker:
            return Outcome(OutcomeKind.INTERRUPTED, message="the reply to its claim did not reach the worker")
        return vanished(taken)
