"""The worker's hot path: settle attempts and claim jobs, with one script in one round trip."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from jobpools.core.jobs.job import DeadReason, Disposition, History, OutcomeKind, Priority, Settlement
from jobpools.core.jobs.policies import Keep
from jobpools.store.connection import Connection
from jobpools.store.history import encode_history
from jobpools.store.script_arguments import CANCELLED_TTL, KEEP, LETTERS, SERVER_CLOCK

CLAIM_LIMIT = 1000
"""Maximum number of jobs that one step claims; the same as in _claim.lua."""
STRICT = "hnl"
"""Order of a claim that takes all jobs of a higher priority first."""
NO_HISTORY = History()


@dataclass(slots=True)
class Completed:
    """Attempts that completed, whose results are kept equally long."""

    lease_ids: list[str] = field(default_factory=list[str])
    """Lease id of each attempt."""
    records: list[bytes] = field(default_factory=list[bytes])
    """As long as `lease_ids`; `completed_record` makes them."""

    def first(self, number: int) -> "Completed":
        """Return a copy of the first `number` attempts."""
        return Completed(self.lease_ids[:number], self.records[:number])

    def remove_first(self, number: int) -> int:
        """Remove the first `number` attempts; return how many are left."""
        del self.lease_ids[:number], self.records[:number]
        return len(self.lease_ids)


@dataclass(frozen=True, slots=True)
class Settled:
    """An attempt that did not complete, and what becomes of its job."""

    lease_id: str
    """The attempt's lease id."""
    priority: Priority
    settlement: Settlement


@dataclass(slots=True)
class StepReply:
    """Result of one step."""

    ids: list[bytes]
    envelopes: list[bytes | None]
    """As long as `ids`; None where the id had no envelope any more (nothing was leased)."""
    histories: list[bytes | None]
    """As long as `ids`, or empty where no job of the queue has a history."""
    stale: list[bytes]
    """Lease ids of settlements that were not applied because their leases are lost."""
    next_due: int
    """ms until the next scheduled job is due; -1: none is scheduled, or jobs are ready."""
    draining: bool
    """Whether this worker must not claim."""
    left: int
    """Number of jobs that are still ready."""
    now: float
    """The server's time, seconds since the epoch."""
    dropped: int
    """Number of dead letters removed because the queue had more than it keeps."""
    paused: bool
    """Whether the queue is paused, so that no worker may claim."""
    since: list[bytes | None] = field(default_factory=list[bytes | None])
    """For each of `ids`: since when the job was ready, in ms; None if its id contains this time. Empty: all ids do."""


def _total(settlement: Settlement) -> str:
    """Return the name of the total that counts the attempt; empty for attempts that do not count."""
    history = settlement.history
    if settlement.disposition not in (Disposition.RETRY, Disposition.DEAD) or not history.entries:
        return ""
    if history.reason is DeadReason.EXPIRED:
        return ""  # the job was not started: its latest attempt was counted before
    last = history.entries[-1].outcome
    crashed = last is OutcomeKind.CRASHED
    return "crashed" if crashed else "failed" if last in (OutcomeKind.FAILED, OutcomeKind.TIMED_OUT) else ""


def _settled_arguments(settled: Settled) -> tuple[Any, ...]:
    settlement = settled.settlement
    delay: Any = "" if settlement.delay is None else int(settlement.delay * 1000)
    if settlement.disposition is Disposition.CANCEL:
        delay = CANCELLED_TTL
    history = encode_history(settlement.history) if settlement.history != NO_HISTORY else b""
    letter = LETTERS[settled.priority]
    return settled.lease_id, letter, settlement.disposition.value, delay, history, _total(settlement)


async def settle_and_claim(  # noqa: PLR0913  # the hot path: an object for these would cost time for each call
    connection: Connection,
    queue: str,
    worker: str,
    *,
    completed: Mapping[int, Completed] = MappingProxyType({}),
    settled: Sequence[Settled] = (),
    claim: int = 0,
    lease_suffix: str,
    lease_ms: int,
    order: str = STRICT,
    keep: Keep = KEEP,
    now: int | str = SERVER_CLOCK,
) -> StepReply:
    """Settle and claim in one round trip.

    `order` lists the priorities' letters in the order of the claim; a number behind a letter limits that turn
    (`h5n3l1hnl`). The keys of `completed` are the ms to keep the results. `lease_suffix` is
    `lease_suffix_of(worker, n)` with an n that this worker has not used before; the lease id of a claimed job is
    `id + lease_suffix`. If a step is sent twice because the answer was lost, the settlements of the second are stale
    and change nothing.
    """
    arguments: list[Any] = [now, worker, claim, lease_suffix, lease_ms, order, keep[0], keep[1], len(completed)]
    for ttl, group in completed.items():
        arguments += (ttl, len(group.lease_ids), *group.lease_ids, *group.records)
    for each in settled:
        arguments.extend(_settled_arguments(each))
    reply = await connection.call("step", queue, arguments)
    ids, envelopes, histories, stale, next_due, draining, left, time, dropped, paused, since = reply
    return StepReply(
        ids, envelopes, histories, stale, int(next_due), bool(draining), left, time / 1000, dropped, bool(paused), since
    )
