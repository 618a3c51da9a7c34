"""Rescue: take over leases whose holders are gone and settle their jobs. Workers and the operator use this one path.

take (store) → outcome_of (decision) → settle (decision) → record (store)
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from jobpools.core.decision import Decision
from jobpools.core.jobs.job import Outcome, OutcomeKind, Settlement
from jobpools.core.jobs.policies import JobDefaults
from jobpools.core.jobs.retry import Retry, settle
from jobpools.errors import StoreDataError
from jobpools.store import draws
from jobpools.store.connect import Connection
from jobpools.store.envelope import decode_envelope, priority_of
from jobpools.store.rescue import RESCUED_AT_ONCE, Rescue, Taken, rescue_jobs
from jobpools.store.script_arguments import KEEP, Keep
from jobpools.store.step import Settled, settle_and_claim

log = logging.getLogger("jobpools.rescue")

DEFAULT_MAX_CRASHES = JobDefaults().max_crashes
Cause = Callable[[Taken], Outcome]
"""Says for each lease that was taken over how its attempt ended: CRASHED charges the job, INTERRUPTED does not."""


def dropped(queue: str, number: int, keep: int) -> str:
    """Return a message about dead letters that a queue dropped."""
    return (
        f"queue {queue}: {number} dead letters were dropped, the oldest ones: it keeps {keep}; "
        f"replay or purge dead jobs sooner, or raise spec.queue.keepDead"
    )


def vanished(taken: Taken) -> Outcome:
    """Return the outcome of an attempt whose worker is gone for an unknown reason."""
    return Outcome(
        OutcomeKind.CRASHED, error="WorkerLost", message=f"worker {taken.former_worker} vanished while it ran the job"
    )


def outcome_of(taken: Taken, cause: Outcome) -> Outcome:
    """Return `cause`, or UNRUNNABLE where this version cannot read the envelope.

    Such a job is left to workers that can read it: it is never charged, however often its workers vanish, and so it
    never becomes dead and nothing of it is dropped.
    """
    try:
        decode_envelope(taken.envelope)
    except StoreDataError as error:
        return Outcome(OutcomeKind.UNRUNNABLE, message=str(error))
    return cause


@dataclass(frozen=True, slots=True)
class Rescued:
    """A job that was taken over, and what becomes of it."""

    taken: Taken
    name: str
    """The handler's; `unknown` where the envelope cannot be read."""
    outcome: Outcome
    decision: Decision[Settlement]

    @property
    def settled(self) -> Settled:
        """The settlement to record."""
        return Settled(self.taken.lease_id, priority_of(self.taken.envelope), self.decision.value)


def decide(taken: Taken, cause: Outcome, max_crashes: Callable[[str], int], now: float, jitter: float) -> Rescued:
    """Decide what becomes of a job that was taken over.

    Args:
        taken: the job and its lease.
        cause: how its attempt ended.
        max_crashes: the limit of a handler by name, where the envelope does not say one.
        now: the server's time, seconds since the epoch.
        jitter: a draw from [0, 1).
    """
    outcome, name, limit = outcome_of(taken, cause), "unknown", 1
    if outcome.kind is not OutcomeKind.UNRUNNABLE:
        envelope = decode_envelope(taken.envelope)
        name = envelope.name
        limit = max_crashes(name) if envelope.max_crashes is None else envelope.max_crashes
    # Only an attempt that failed asks the retry policy, and none of these did.
    decision = settle(outcome, Retry(), taken.history, now, jitter, max_crashes=limit, worker=taken.former_worker)
    return Rescued(taken, name, outcome, _with_fence(decision, taken))


def log_rescued(rescued: Rescued) -> None:
    """Log what becomes of a job that was taken over."""
    level = logging.WARNING if rescued.outcome.kind is OutcomeKind.CRASHED else logging.DEBUG
    decision = rescued.decision
    log.log(level, "%s %s: %s: %s", rescued.name, rescued.taken.id, decision.reason, decision.message)


def _with_fence(decision: Decision[Settlement], taken: Taken) -> Decision[Settlement]:
    """Return the decision with the fence in the record of a crash: its worker may live, and take the job back."""
    settlement = decision.value
    attempts = settlement.history.entries
    if decision.reason != "Crashed":
        return decision
    charged = replace(attempts[-1], fence=taken.former_lease_id.rpartition(":")[2])
    history = replace(settlement.history, entries=(*attempts[:-1], charged))
    return replace(decision, value=replace(settlement, history=history))


@dataclass(slots=True)
class Swept:
    """Result of one sweep of a queue."""

    queue: str
    rescued: list[Rescued] = field(default_factory=list[Rescued])
    promoted: int = 0
    """Scheduled jobs that fell due and are ready now."""
    dropped: int = 0
    """Number of dead letters removed because the queue had more than it keeps."""
    more: bool = False
    """Whether more expired records are left."""

    def add(self, found: Rescue) -> None:
        """Add the counts of one call."""
        self.promoted += found.promoted
        self.dropped += found.dropped
        self.more = found.more


class Rescuer:
    """Takes over expired leases and settles their jobs, for a worker or for the operator."""

    def __init__(
        self,
        connection: Connection,
        worker: str,
        *,
        lease_ms: int,
        max_crashes: Callable[[str], int] = lambda _: DEFAULT_MAX_CRASHES,
        keep: Keep = KEEP,
        report: Callable[[Rescued], None] = log_rescued,
    ) -> None:
        """Prepare a rescuer; nothing is sent yet.

        Args:
            connection: to the queues' Redis.
            worker: the id under which it holds what it takes over, until that is settled.
            lease_ms: the lease for the time between take and record.
            max_crashes: the limit of a handler by name, where the envelope does not say one.
            keep: how many completed jobs and dead letters a queue keeps.
            report: is called with each job that was taken over, before its settlement is recorded.
        """
        self._keep = keep
        self._report = report
        self._connection = connection
        self._worker = worker
        self._lease_ms = lease_ms
        self._max_crashes = max_crashes
        self._unrecorded: dict[str, list[Settled]] = {}
        """By queue: settlements that did not reach Redis; the next sweep begins with them."""

    async def sweep(
        self,
        queue: str,
        *,
        holders: Sequence[str] = (),
        cause: Cause = vanished,
        max_crashes: Callable[[str], int] | None = None,
        keep: Keep | None = None,
        goes_on: Callable[[Taken], bool] = lambda _: False,
    ) -> Swept:
        """Take over the leases that can be taken over now, and settle each. Raises StoreError.

        Leases that expire meanwhile are left for the next sweep, so the sweep ends.

        Args:
            queue: the queue's name.
            holders: whose leases; as in `store.rescue.rescue_jobs`. Empty: all that have expired.
            cause: how the attempt of a lease ended.
            max_crashes: in place of the one that this rescuer was made with.
            keep: likewise.
            goes_on: True for a lease that the caller keeps under its new fence; it is not settled.
        """
        swept = Swept(queue)
        if queue in self._unrecorded:
            await self._record(queue, [])
        take = partial(self._take, queue, keep=keep or self._keep)
        some = partial(
            self._some, swept, partial(take, holders=holders), cause, max_crashes or self._max_crashes, goes_on
        )
        for _ in range(-(-await some() // RESCUED_AT_ONCE)):
            await some()
        # Expired records are removed in bounded calls, so that other clients are served in between.
        while swept.more:
            swept.add(await take(limit=0))
        return swept

    async def _take(
        self, queue: str, *, keep: Keep, holders: Sequence[str] = (), limit: int = RESCUED_AT_ONCE
    ) -> Rescue:
        return await rescue_jobs(
            self._connection,
            queue,
            lease_suffix=self._fence(),
            lease_ms=self._lease_ms,
            limit=limit,
            holders=holders,
            keep=keep,
        )

    async def _some(  # what one sweep hands to each of its rounds
        self,
        swept: Swept,
        take: Callable[[], Awaitable[Rescue]],
        cause: Cause,
        max_crashes: Callable[[str], int],
        goes_on: Callable[[Taken], bool],
    ) -> int:
        """Take over some leases and settle them; return how many more there are."""
        found = await take()
        # No await from here to `_record`: what the caller keeps, it keeps before anything else happens.
        over = [taken for taken in found.taken if not goes_on(taken)]
        rescued = [self._decided(taken, cause(taken), max_crashes, found.now) for taken in over]
        swept.rescued += rescued
        swept.add(found)
        # Crash window: these jobs are leased to this rescuer and not settled. If its process ends here, the leases
        # expire and the next rescue finds them: later, charged once, and possibly in the name of this rescuer.
        await self._record(swept.queue, [each.settled for each in rescued])
        return found.left

    def _fence(self) -> str:
        return draws.lease_suffix(self._worker)

    async def promote(self, queue: str, keep: Keep | None = None) -> Swept:
        """Promote due jobs and remove expired records, without taking over leases. Raises StoreError."""
        swept = Swept(queue)
        swept.add(await self._take(queue, keep=keep or self._keep, limit=0))
        return swept

    def _decided(self, taken: Taken, cause: Outcome, max_crashes: Callable[[str], int], now: float) -> Rescued:
        rescued = decide(taken, cause, max_crashes, now, draws.fraction())
        self._report(rescued)
        return rescued

    async def _record(self, queue: str, settled: Sequence[Settled]) -> None:
        """Send settlements, first those that an outage kept. One whose lease has gone to another rescuer is stale."""
        sent = [*self._unrecorded.pop(queue, ()), *settled]
        if not sent:
            return
        try:
            await settle_and_claim(
                self._connection, queue, self._worker, settled=sent, lease_suffix=self._fence(), lease_ms=self._lease_ms
            )  # fmt: skip
        except BaseException:
            # Whether they arrived is unknown. Sent again, what arrived is stale.
            self._unrecorded[queue] = [*sent, *self._unrecorded.get(queue, ())]
            raise
