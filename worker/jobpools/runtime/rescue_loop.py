"""Take over the jobs of workers that have died, and hand back jobs whose claim had no reply."""

import asyncio
import time
from collections.abc import Sequence
from functools import partial

from jobpools.core.jobs.job import Outcome, OutcomeKind
from jobpools.core.text.names import WorkerId
from jobpools.errors import StoreError
from jobpools.rescue import Rescuer, vanished
from jobpools.runtime.consumer import Consumer
from jobpools.runtime.lease_renewal import LeaseRenewal
from jobpools.runtime.metrics import Metrics
from jobpools.runtime.outage import Outage, concerns_server
from jobpools.settings import WorkerSettings
from jobpools.store import draws
from jobpools.store.connection import Connection
from jobpools.store.rescue import TakenLease

INTERVAL_PER_LEASE = 0.3
"""Interval between two checks for expired leases, as a share of the lease: 3 s of 10 s. Jitter adds up to a third."""
PART = "rescue"
"""Name of this loop in the worker's record of outages."""


class RescueLoop:
    """The loop that checks all queues of a worker for expired leases."""

    def __init__(  # noqa: PLR0913  # the parts of a worker that a rescue concerns
        self,
        settings: WorkerSettings,
        consumers: Sequence[Consumer],
        *,
        worker: WorkerId,
        outage: Outage,
        metrics: Metrics,
        connection: Connection,
        renewal: LeaseRenewal,
    ) -> None:
        self._lease = settings.lease
        self._interval = settings.lease * INTERVAL_PER_LEASE
        self._renewal = renewal
        self._worker = worker
        self._consumers = consumers
        self._outage = outage
        self._metrics = metrics
        self._rescuer = Rescuer(connection, worker, lease_ms=int(settings.lease * 1000))

    async def run(self) -> None:
        """Check for expired leases until the task is cancelled."""
        while True:
            # The jitter keeps many workers from checking at the same moment.
            await asyncio.sleep(self._interval * (1 + draws.fraction() / 3))
            await self._until_renewed()
            if self._outage.is_failing_elsewhere(PART):
                continue
            # After a failure, the first success ends the outage; the next pass rescues expired leases.
            probe_only = self._outage.is_failing(PART)
            errors = [
                await self._checked(consumer, probe_only=probe_only)
                for consumer in self._consumers
                if not consumer.is_leaving
            ]
            if error := next((each for each in errors if each is not None), None):
                self._outage.failed(error, PART)
            else:
                self._outage.recovered(PART)

    async def _checked(self, consumer: Consumer, *, probe_only: bool) -> StoreError | None:
        """Check one queue, or only prove that it accepts a write; return an error that concerns the whole server."""
        try:
            await (consumer.prove_write() if probe_only else self.check(consumer))
        except StoreError as error:
            if concerns_server(error):
                return error
            consumer.errors.report(error)
        return None

    async def _until_renewed(self) -> None:
        """Wait, at most for a lease, until leases of this worker that expired while it was stopped are renewed."""
        until = time.monotonic() + self._lease
        while self._renewal.renewed_at + self._lease / 2 < time.monotonic() < until:  # noqa: ASYNC110  # another thread renews
            await asyncio.sleep(0.01)

    async def check(self, consumer: Consumer) -> None:
        """Take over expired leases of one queue, and leases of claims without a reply. Raises StoreError."""
        now = time.monotonic()
        if unanswered := consumer.leases.unanswered(now):
            # These jobs never started: hand them back before their leases expire and are charged with a crash.
            await self._take_over(consumer, unanswered)
        # After an outage, leases of live workers may have expired: give the workers time to renew them.
        if now >= self._outage.ended + self._lease / 2:
            await self._take_over(consumer, ())

    async def _take_over(self, consumer: Consumer, holders: Sequence[str]) -> None:
        swept = await self._rescuer.sweep(
            consumer.queue,
            holders=holders,
            outcome_of=self._outcome_of,
            max_crashes=consumer.max_crashes,
            keep=consumer.keep,
            continues=partial(self._continues, consumer),
        )
        consumer.count_dropped(swept.dropped)
        self._metrics.rescued += sum(each.outcome.kind is OutcomeKind.CRASHED for each in swept.rescued)

    def _continues(self, consumer: Consumer, taken: TakenLease) -> bool:
        """Return whether it is this worker's own attempt, renewed too late, and continue it under the new fence."""
        attempt = consumer.leases.unsettled(taken.id) if taken.former_worker == self._worker else None
        if attempt is None:
            return False
        consumer.leases.rename(attempt, taken.lease_id)
        return True

    def _outcome_of(self, taken: TakenLease) -> Outcome:
        if taken.former_worker == self._worker:
            return Outcome(OutcomeKind.INTERRUPTED, message="the reply to the claim did not reach the worker")
        return vanished(taken)
