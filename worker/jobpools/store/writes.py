"""Write operations on a queue. Each is one script, so it is applied completely or not at all."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import msgspec

from jobpools.core.jobs.job import Disposition, History, JobState, OutcomeKind, Priority, Settlement
from jobpools.core.jobs.policies import KEEP_COMPLETED, KEEP_DEAD
from jobpools.core.pools.facts import Heartbeat
from jobpools.store import keys, scripts
from jobpools.store.connect import Connection, SyncConnection
from jobpools.store.envelope import Envelope
from jobpools.store.history import encode_history, read_history
from jobpools.store.lease_ids import split_lease_id

BATCH = 500
"""Maximum number of jobs of one enqueue call; a longer script would delay other clients."""
CLAIM_LIMIT = 1000
"""Maximum number of jobs that one step claims; the same as in _claim.lua."""
RESCUED_AT_ONCE = 100
"""Maximum number of leases that one rescue takes over."""
CANCELLED_TTL = 86_400_000
"""ms that the record of a cancelled job is kept."""
DRAINING_TTL = 3_600_000
"""ms until a queue's drain locks expire, counted from the latest one; the same as in drain.lua."""
LETTERS = {Priority.HIGH: "h", Priority.NORMAL: "n", Priority.LOW: "l"}
_LETTER_OF = {str(priority): letter for priority, letter in LETTERS.items()}
STRICT = "hnl"
NOTHING_YET = History()
Keep = tuple[int, int]
"""Maximum numbers of completed jobs and of dead letters that a queue keeps."""
KEEP: Keep = (KEEP_COMPLETED, KEEP_DEAD)
SERVER_CLOCK = ""


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

    def without(self, number: int) -> int:
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
    """Lease ids of settlements that were not applied, because the lease was lost."""
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


@dataclass(frozen=True, slots=True)
class Taken:
    """A job whose lease was taken over."""

    id: str
    lease_id: str
    """The caller's new lease."""
    former_worker: str
    """The worker that held it before."""
    former_lease_id: str
    """The lease that was taken over."""
    envelope: bytes
    history: History


@dataclass(frozen=True, slots=True)
class Rescue:
    """Result of one rescue."""

    taken: list[Taken]
    promoted: int
    left: int
    """Number of leases that the limit left for the next rescue."""
    now: float
    """The server's time, seconds since the epoch."""
    more: bool = False
    """Whether more expired records are left: call again."""
    dropped: int = 0
    """Number of dead letters removed because the queue had more than it keeps."""


class Sending(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A validated and encoded job, ready to be sent."""

    # gc=False: it is part of no reference cycle, and the collector need not traverse thousands of them.
    envelope: Envelope
    payload: bytes
    """The envelope as it goes to Redis."""
    due: float | None = None
    """`at=`: seconds since the epoch; None: after `delay`."""
    delay: float = 0.0
    """Seconds from when the server accepts it; 0: at once."""


def _batches(jobs: Sequence[Sending]) -> Iterable[tuple[str, list[Any], list[int]]]:
    """Yield (queue, arguments, places in `jobs`) of each call to make."""
    queues: defaultdict[str, list[int]] = defaultdict(list)
    for place, job in enumerate(jobs):
        queues[job.envelope.queue].append(place)
    for queue, places in queues.items():
        for start in range(0, len(places), BATCH):
            batch = places[start : start + BATCH]
            arguments: list[Any] = [keys.WAKE_CHANNEL, queue]
            for place in batch:
                job = jobs[place]
                envelope, due = job.envelope, "" if job.due is None and not job.delay else _due_argument(job)
                arguments += (envelope.id, _LETTER_OF[envelope.priority], due, job.payload)
            yield queue, arguments, batch


def _due_argument(job: Sending) -> int | str:
    """Return when a job is due, as enqueue.lua takes it."""
    return int(job.delay * 1000) if job.due is None else f"@{int(job.due * 1000)}"


async def enqueue(connection: Connection, jobs: Sequence[Sending], now: int | str = SERVER_CLOCK) -> list[bool]:
    """Enqueue jobs; return for each whether it was accepted. False: its id is known, and nothing was written.

    Jobs of one queue are accepted BATCH at a time: if the server becomes unreachable in between, an error is raised and
    a whole number of batches has been accepted. Sending the same jobs again enqueues only those that are missing.
    """
    accepted = [False] * len(jobs)
    for queue, arguments, places in _batches(jobs):
        for place, new in zip(places, await connection.call("enqueue", queue, [now, *arguments]), strict=True):
            accepted[place] = bool(new)
    return accepted


def enqueue_sync(connection: SyncConnection, jobs: Sequence[Sending], now: int | str = SERVER_CLOCK) -> list[bool]:
    """Enqueue jobs as `enqueue` does, blocking."""
    accepted = [False] * len(jobs)
    for queue, arguments, places in _batches(jobs):
        for place, new in zip(places, connection.call("enqueue", queue, [now, *arguments]), strict=True):
            accepted[place] = bool(new)
    return accepted


def _total(settlement: Settlement) -> str:
    """Return the total that counts the attempt; empty for attempts that were handed back or cancelled."""
    if settlement.disposition not in (Disposition.RETRY, Disposition.DEAD) or not settlement.history.entries:
        return ""
    last = settlement.history.entries[-1].outcome
    crashed = last is OutcomeKind.CRASHED
    return "crashed" if crashed else "failed" if last in (OutcomeKind.FAILED, OutcomeKind.TIMED_OUT) else ""


def _settled_arguments(settled: Settled) -> tuple[Any, ...]:
    settlement = settled.settlement
    delay: Any = "" if settlement.delay is None else int(settlement.delay * 1000)
    if settlement.disposition is Disposition.CANCEL:
        delay = CANCELLED_TTL
    history = encode_history(settlement.history) if settlement.history != NOTHING_YET else b""
    letter = LETTERS[settled.priority]
    return settled.lease_id, letter, settlement.disposition.value, delay, history, _total(settlement)


async def step(  # noqa: PLR0913  # the hot path's one call: an object around these would cost more than it says
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
    `claim_suffix(worker, n)` with an n that this worker has not used before; the lease id of a claimed job is
    `id + lease_suffix`. If a step is sent twice because the answer was lost, the settlements of the second are stale
    and change nothing.
    """
    arguments: list[Any] = [now, worker, claim, lease_suffix, lease_ms, order, *keep, len(completed)]
    for ttl, group in completed.items():
        arguments += (ttl, len(group.lease_ids), *group.lease_ids, *group.records)
    for each in settled:
        arguments.extend(_settled_arguments(each))
    reply = await connection.call("step", queue, arguments)
    ids, envelopes, histories, stale, next_due, draining, left, time, dropped = reply
    return StepReply(ids, envelopes, histories, stale, int(next_due), bool(draining), left, time / 1000, dropped)


def _probe(queue: str) -> tuple[Any, ...]:
    # The server refuses it as it refuses any write that takes memory; XX adds nothing.
    return "ZADD", keys.of_queue(queue, "leases"), "XX", 0, "-"


async def probe(connection: Connection, queue: str) -> None:
    """Prove that the server accepts a write to this queue. Raises StoreError. Changes nothing."""
    await connection.execute(*_probe(queue))


def probe_sync(connection: SyncConnection, queue: str) -> None:
    """Prove as `probe` does that the server accepts a write, blocking."""
    connection.execute(*_probe(queue))


def renew(
    connection: SyncConnection, queue: str, lease_ids: Sequence[str], lease_ms: int, now: int | str = SERVER_CLOCK
) -> tuple[list[str], list[str]]:
    """Extend leases; return the lease ids that are lost, and the ids of running jobs to cancel."""
    gone, cancelling = connection.call("renew", queue, [now, lease_ms, *lease_ids])
    return [lease_id.decode() for lease_id in gone], [job_id.decode() for job_id in cancelling]


async def rescue(  # noqa: PLR0913  # as the script
    connection: Connection,
    queue: str,
    *,
    lease_suffix: str,
    lease_ms: int,
    limit: int = RESCUED_AT_ONCE,
    holders: Sequence[str] = (),
    keep: Keep = KEEP,
    now: int | str = SERVER_CLOCK,
) -> Rescue:
    """Take over the leases that have expired, or those of `holders`; promote due jobs; remove expired records.

    A holder is the name of a pod; or `held_by(worker)`, for the leases of one worker; or a suffix of
    `claim_suffix`, for those of one claim.
    """
    ids, envelopes, histories, former_ids, promoted, left, time, more, dropped = await connection.call(
        "rescue", queue, [now, lease_suffix, lease_ms, *keep, limit, *holders]
    )
    taken = [
        Taken(
            id=job_id.decode(),
            lease_id=job_id.decode() + lease_suffix,
            former_worker=split_lease_id(lease_id.decode())[1],
            former_lease_id=lease_id.decode(),
            envelope=envelope,
            history=read_history(history),
        )
        for job_id, envelope, history, lease_id in zip(ids, envelopes, histories, former_ids, strict=True)
    ]
    return Rescue(taken, promoted, left, time / 1000, bool(more), dropped)


def held_by(worker: str) -> str:
    """Return the element of a rescue's `holders` that means all leases of one worker id."""
    return f":{worker}:"


async def drain(connection: Connection, queues: Sequence[str], worker: str) -> bool:
    """Take the drain lock in all of a worker's queues, or in none; return False if the worker holds a lease."""
    for place, queue in enumerate(queues):
        if not await connection.call("drain", queue, [worker]):
            await undrain(connection, queues[:place], worker)
            return False
    return True


async def pause(connection: Connection, queues: Sequence[str], workers: Sequence[str]) -> None:
    """Take the drain lock even if these workers hold leases: running jobs go on, and no job is claimed."""
    if workers:
        for queue in queues:
            key = keys.of_queue(queue, "draining")
            await connection.execute("SADD", key, *workers)
            await connection.execute("PEXPIRE", key, DRAINING_TTL)


async def undrain(connection: Connection, queues: Sequence[str], worker: str) -> None:
    """Release the drain lock."""
    for queue in queues:
        await connection.execute("SREM", keys.of_queue(queue, "draining"), worker)


async def cancel(connection: Connection, queue: str, job_id: str, now: int | str = SERVER_CLOCK) -> JobState | None:
    """Cancel a job; return its state now (`running`: its worker will stop it), or None if there is no such job."""
    arguments = [now, job_id, CANCELLED_TTL]
    state = (await connection.call("cancel", queue, arguments)).decode()
    return JobState(state) if state else None


async def heartbeat(connection: Connection, report: Heartbeat, now: int | str = SERVER_CLOCK) -> None:
    """Report that a worker is alive. The server sets `seen` and `draining`."""
    script = scripts.get("heartbeat")
    values = {
        name: getattr(report, name)
        for name in (
            "slots",
            "busy",
            "started",
            "idle_since",
            "version",
            "rss_bytes",
            "completed",
            "failed",
            "left_behind",
        )
    }
    arguments = [now, report.worker, msgspec.json.encode(values)]
    await connection.call_keys(script, [keys.workers(report.pool)], arguments)


async def extend(connection: Connection, queue: str, worker: str, lease_ms: int, now: int | str = SERVER_CLOCK) -> int:
    """Renew all leases of a worker on its behalf; return how many. Raises StoreError."""
    return int(await connection.call("extend", queue, [now, worker, lease_ms]))


async def repeat_heartbeat(connection: Connection, pool: str, worker: str, now: int | str = SERVER_CLOCK) -> None:
    """Repeat the last heartbeat of a listed worker that is alive and blocked. Raises StoreError."""
    key = keys.workers(pool)
    value = await connection.execute("HGET", key, worker)
    if value is not None:
        report = value.partition(b" ")[2]
        await connection.call_keys(scripts.get("heartbeat"), [key], [now, worker, report])


async def forget_worker(connection: Connection, pool: str, worker: str, queues: Sequence[str]) -> None:
    """Remove a stopped worker from the list, and its drain locks."""
    await unlist(connection, pool, [worker])
    await undrain(connection, queues, worker)


async def unlist(connection: Connection, pool: str, workers: Sequence[str]) -> None:
    """Remove workers from the list; their drain locks stay."""
    if workers:
        await connection.execute("HDEL", keys.workers(pool), *workers)
