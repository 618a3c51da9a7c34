"""Take over leases whose holders are gone, and settle their jobs. Workers and the operator use this one path.

take (store) → decide (decision) → record (store)
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from jobpools.core.decision import Decision
from jobpools.core.jobs.job import Outcome, OutcomeKind, Settlement
from jobpools.core.jobs.policies import JobDefaults, Keep
from jobpools.core.jobs.retry import Retry, settle
from jobpools.core.text.durations import format_duration
from jobpools.core.text.plurals import count_of
from jobpools.errors import StoreDataError
from jobpools.store import draws
from jobpools.store.connection import Connection
from jobpools.store.envelope import decode_envelope, priority_of
from jobpools.store.rescue import RESCUE_LIMIT, RescueReply, TakenLease, rescue_jobs
from jobpools.store.script_arguments import KEEP
from jobpools.store.step import Settled, settle_and_claim

log = logging.getLogger("jobpools.rescue")

DEFAULT_MAX_CRASHES = JobDefaults().max_crashes
"""Number of crashes after which a job is dead if neither its envelope nor the caller sets a limit."""
OutcomeOf = Callable[[TakenLease], Outcome]
"""Returns how the attempt of a lease ended: CRASHED counts as a crash of the job, INTERRUPTED does not count."""


def describe_dropped(queue: str, number: int, keep: Keep) -> str:
    """Return a message about dead letters that a queue dropped."""
    age = f" for at most {format_duration(keep.dead_for)}" if keep.dead_for else ""
    return (
        f"queue {queue}: {count_of(number, 'dead letter')} dropped, oldest first, because it keeps at most {keep.dead}"
        f"{age}; replay or purge dead letters sooner, or raise spec.queue.keepDead or keepDeadFor"
    )


def vanished(taken: TakenLease) -> Outcome:
    """Return the outcome of an attempt whose worker is gone for an unknown reason."""
    return Outcome(
        OutcomeKind.CRASHED, error="WorkerLost", message=f"worker {taken.former_worker} vanished while it ran the job"
    )


def _checked(outcome: Outcome, taken: TakenLease) -> Outcome:
    """Return the outcome, or UNRUNNABLE where this version cannot read the envelope.

    Such a job is left to workers that can read it. Its attempts do not count, so it never becomes dead.
    """
    try:
        decode_envelope(taken.envelope)
    except StoreDataError as error:
        return Outcome(OutcomeKind.UNRUNNABLE, message=str(error))
    return outcome


@dataclass(frozen=True, slots=True)
class Rescued:
    """A job that was taken over, and the decision about it."""

    taken: TakenLease
    name: str
    """Name of the handler; `unknown` if the envelope cannot be read."""
    outcome: Outcome
    decision: Decision[Settlement]

    @property
    def settled(self) -> Settled:
        """The settlement to record."""
        return Settled(self.taken.lease_id, priority_of(self.taken.envelope), self.decision.value)


def decide(
    taken: TakenLease, outcome: Outcome, max_crashes: Callable[[str], int], now: float, jitter: float
) -> Rescued:
    """Decide how a job that was taken over is settled.

    Args:
        taken: The job and its lease.
        outcome: How its attempt ended.
        max_crashes: Returns the limit of a handler, by name, for a job whose envelope does not set one.
        now: The server's time, seconds since the epoch.
        jitter: A random number from [0, 1).
    """
    outcome, name, limit = _checked(outcome, taken), "unknown", 1
    if outcome.kind is not OutcomeKind.UNRUNNABLE:
        envelope = decode_envelope(taken.envelope)
        name = envelope.name
        limit = max_crashes(name) if envelope.max_crashes is None else envelope.max_crashes
    # `settle` uses the retry policy for failed attempts only, and none of these failed.
    decision = settle(outcome, Retry(), taken.history, now, jitter, max_crashes=limit, worker=taken.former_worker)
    if outcome.kind is OutcomeKind.CRASHED:
        decision = _with_fence(decision, taken)
    return Rescued(taken, name, outcome, decision)


def log_rescued(rescued: Rescued) -> None:
    """Log how a job that was taken over is settled."""
    level = logging.WARNING if rescued.outcome.kind is OutcomeKind.CRASHED else logging.DEBUG
    decision = rescued.decision
    log.log(level, "%s %s: %s: %s", rescued.name, rescued.taken.id, decision.reason, decision.message)


def _with_fence(decision: Decision[Settlement], taken: TakenLease) -> Decision[Settlement]:
    """Return the decision with the old fence in the record of a crash: a worker that was only suspended may resume."""
    settlement = decision.value
    attempts = settlement.history.entries
    charged = replace(attempts[-1], fence=taken.former_lease_id.rpartition(":")[2])
    history = replace(settlement.history, entries=(*attempts[:-1], charged))
    return replace(decision, value=replace(settlement, history=history))


@dataclass(slots=True)
class SweepResult:
    """Result of one sweep of a queue."""

    queue: str
    rescued: list[Rescued] = field(default_factory=list[Rescued])
    promoted: int = 0
    """Number of scheduled jobs that fell due and are ready now."""
    dropped: int = 0
    """Number of dead letters removed because the queue had more than it keeps."""
    has_more: bool = False
    """Whether more expired records are left."""

    def add(self, found: RescueReply) -> None:
        """Add the counts of one call."""
        self.promoted += found.promoted
        self.dropped += found.dropped
        self.has_more = found.more


@dataclass(frozen=True, slots=True)
class _Rules:
    """The arguments of one sweep that are the same for each of its batches."""

    holders: Sequence[str]
    outcome_of: OutcomeOf
    max_crashes: Callable[[str], int]
    keep: Keep
    continues: Callable[[TakenLease], bool]


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
            connection: Connection to the queues' Redis.
            worker: Id of the worker that holds the leases until their jobs are settled.
            lease_ms: Milliseconds of these leases.
            max_crashes: Returns the limit of a handler, by name, for a job whose envelope does not set one.
            keep: Numbers of completed jobs and dead letters that a queue keeps.
            report: Called with each job that was taken over, before its settlement is recorded.
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
        outcome_of: OutcomeOf = vanished,
        max_crashes: Callable[[str], int] | None = None,
        keep: Keep | None = None,
        continues: Callable[[TakenLease], bool] = lambda _: False,
    ) -> SweepResult:
        """Take over the leases that can be taken over now, and settle their jobs.

        Leases that expire during the sweep are left for the next one, so the sweep ends.

        Args:
            queue: Name of the queue.
            holders: Holders whose leases are taken over, as in `rescue_jobs`. Empty: all whose leases have expired.
            outcome_of: Returns how the attempt of a lease ended.
            max_crashes: Replaces the rescuer's own.
            keep: Replaces the rescuer's own.
            continues: Returns True if the caller continues the attempt under the new lease; its job is not settled.

        Raises:
            StoreError: Redis cannot be read or written.
        """
        swept = SweepResult(queue)
        rules = _Rules(holders, outcome_of, max_crashes or self._max_crashes, keep or self._keep, continues)
        if queue in self._unrecorded:
            await self._record(queue, [])
        left = await self._rescue_batch(swept, rules)
        for _ in range(math.ceil(left / RESCUE_LIMIT)):
            await self._rescue_batch(swept, rules)
        # Expired records are removed in bounded calls, so that other clients are served in between.
        while swept.has_more:
            swept.add(await self._take(queue, rules.keep, limit=0))
        return swept

    async def promote(self, queue: str, keep: Keep | None = None) -> SweepResult:
        """Promote due jobs and remove expired records, without taking over leases. Raises StoreError."""
        swept = SweepResult(queue)
        swept.add(await self._take(queue, keep or self._keep, limit=0))
        return swept

    async def _take(
        self, queue: str, keep: Keep, *, holders: Sequence[str] = (), limit: int = RESCUE_LIMIT
    ) -> RescueReply:
        return await rescue_jobs(
            self._connection,
            queue,
            lease_suffix=draws.new_lease_suffix(self._worker),
            lease_ms=self._lease_ms,
            limit=limit,
            holders=holders,
            keep=keep,
        )

    async def _rescue_batch(self, swept: SweepResult, rules: _Rules) -> int:
        """Take over up to RESCUE_LIMIT leases and settle their jobs; return how many leases are left."""
        found = await self._take(swept.queue, rules.keep, holders=rules.holders)
        # No await from here to `_record`: the caller must know the leases that it continues before it runs again.
        ended = [taken for taken in found.taken if not rules.continues(taken)]
        rescued = [self._decide(taken, rules, found.now) for taken in ended]
        swept.rescued += rescued
        swept.add(found)
        # Crash window: these jobs are leased to this rescuer and not settled. If its process ends here, their leases
        # expire, and the next rescue counts one crash: the end of this rescuer instead of that of the former worker.
        await self._record(swept.queue, [each.settled for each in rescued])
        return found.left

    def _decide(self, taken: TakenLease, rules: _Rules, now: float) -> Rescued:
        rescued = decide(taken, rules.outcome_of(taken), rules.max_crashes, now, draws.fraction())
        self._report(rescued)
        return rescued

    async def _record(self, queue: str, settled: Sequence[Settled]) -> None:
        """Send settlements, first those that an outage held up. They are stale if another rescuer took the leases."""
        sent = [*self._unrecorded.pop(queue, ()), *settled]
        if not sent:
            return
        try:
            await settle_and_claim(
                self._connection,
                queue,
                self._worker,
                settled=sent,
                lease_suffix=draws.new_lease_suffix(self._worker),
                lease_ms=self._lease_ms,
            )
        except BaseException:
            # It is unknown whether the settlements arrived. They are sent again; one that has arrived is then stale.
            self._unrecorded[queue] = [*sent, *self._unrecorded.get(queue, ())]
            raise
