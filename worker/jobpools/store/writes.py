"""The verbs that change a queue. Each is one script, so each happens whole or not at all."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import msgspec

from jobpools.core.jobs.job import Disposition, History, JobState, OutcomeKind, Priority, Settlement
from jobpools.core.jobs.policies import KEEP_COMPLETED, KEEP_DEAD
from jobpools.core.pools.facts import Heartbeat
from jobpools.store import codec, keys, scripts
from jobpools.store.connect import Connection, SyncConnection

BATCH = 500
"""Jobs per enqueue call: about the most that one script should do at once while others wait."""
CLAIM_LIMIT = 1000
"""Jobs that one step claims at most, whatever it is asked for: as in step.lua."""
RESCUED_AT_ONCE = 100
"""Maximum number of leases that one rescue takes over."""
CANCELLED_TTL = 86_400_000
"""ms that a cancelled job stays visible."""
DRAINING_TTL = 3_600_000
"""ms that a queue's locks last after the latest one was taken, as in drain.lua."""
LETTERS = {Priority.HIGH: "h", Priority.NORMAL: "n", Priority.LOW: "l"}
_LETTER_OF = {str(priority): letter for priority, letter in LETTERS.items()}
STRICT = "hnl"
NOTHING_YET = History()
Keep = tuple[int, int]
"""How many completed jobs and how many dead letters a queue keeps."""
KEEP: Keep = (KEEP_COMPLETED, KEEP_DEAD)
SERVER_CLOCK = ""


@dataclass(slots=True)
class Completed:
    """Attempts that completed, whose results are kept equally long."""

    lease_ids: list[str] = field(default_factory=list)
    """Their leases."""
    records: list[bytes] = field(default_factory=list)
    """As long as `lease_ids`; `codec.completed_record` makes them."""

    def first(self, number: int) -> "Completed":
        """A copy of the first ones."""
        return Completed(self.lease_ids[:number], self.records[:number])

    def without(self, number: int) -> int:
        """Forget the first ones; returns how many are left."""
        del self.lease_ids[:number], self.records[:number]
        return len(self.lease_ids)


@dataclass(frozen=True, slots=True)
class Settled:
    """An attempt that did not complete, and what becomes of its job."""

    lease_id: str
    """Its lease."""
    priority: Priority
    settlement: Settlement


@dataclass(slots=True)
class StepReply:
    """What one step brought."""

    ids: list[bytes]
    envelopes: list[bytes | None]
    """As long as `ids`; None where the id had no envelope any more (nothing was leased)."""
    histories: list[bytes | None]
    """As long as `ids`, or empty where no job of the queue has a history."""
    stale: list[bytes]
    """Members whose lease was gone: their settlements were not applied."""
    next_due: int
    """ms until the next scheduled job; -1: none, or work is ready anyway."""
    draining: bool
    """This worker may not claim."""
    left: int
    """Jobs that are still ready."""
    now: float
    """The server's time, seconds since the epoch."""
    dropped: int
    """Dead letters that were more than the queue keeps, and are gone."""


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
    """What one rescue brought."""

    taken: list[Taken]
    promoted: int
    left: int
    """Leases beyond the limit that could have been taken over."""
    now: float
    """The server's time, seconds since the epoch."""
    more: bool = False
    """There is more to forget: call again."""
    dropped: int = 0
    """Dead letters that were more than the queue keeps, and are gone."""


class Sending(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A job that is checked and encoded."""

    # gc=False: nothing in it leads back to it, and thousands of them are not searched for cycles again and again.
    envelope: codec.Envelope
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
                envelope, moment = job.envelope, "" if job.due is None and not job.delay else _moment(job)
                arguments += (envelope.id, _LETTER_OF[envelope.priority], moment, job.payload)
            yield queue, arguments, batch


def _moment(job: Sending) -> int | str:
    """Return when a job is due, as enqueue.lua takes it."""
    return int(job.delay * 1000) if job.due is None else f"@{int(job.due * 1000)}"


async def enqueue(connection: Connection, jobs: Sequence[Sending], now: int | str = SERVER_CLOCK) -> list[bool]:
    """Accept jobs; for each True, or False where its id was known already and nothing was written.

    Jobs of one queue are accepted BATCH at a time: when the server vanishes in between, an error is raised and a whole
    number of batches has been accepted. Sending the same jobs again enqueues only those that are missing.
    """
    accepted = [False] * len(jobs)
    for queue, arguments, places in _batches(jobs):
        for place, new in zip(places, await connection.call("enqueue", queue, [now, *arguments]), strict=True):
            accepted[place] = bool(new)
    return accepted


def enqueue_sync(connection: SyncConnection, jobs: Sequence[Sending], now: int | str = SERVER_CLOCK) -> list[bool]:
    """The same, blocking."""
    accepted = [False] * len(jobs)
    for queue, arguments, places in _batches(jobs):
        for place, new in zip(places, connection.call("enqueue", queue, [now, *arguments]), strict=True):
            accepted[place] = bool(new)
    return accepted


def _total(settlement: Settlement) -> str:
    """Which total the attempt counts in; handed back and cancelled ones count in none."""
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
    history = codec.encode_history(settlement.history) if settlement.history != NOTHING_YET else b""
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

    `order` are the priorities' letters as they are asked; a number behind one is the most it gives then (`h5n3l1hnl`).
    `completed` is by the ms to keep the results. `lease_suffix` is `codec.lease_suffix(worker, n)` with an n that this
    worker never used before; the lease of a claimed id is `id + lease_suffix`.
    Sent twice because the answer was lost, the second one's settlements are stale and change nothing.
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
    # Refused as any write that takes memory is, and without effect: XX adds nothing.
    return "ZADD", keys.of_queue(queue, "leases"), "XX", 0, "-"


async def probe(connection: Connection, queue: str) -> None:
    """Prove that the server accepts a write to this queue. Raises StoreError. Changes nothing."""
    await connection.execute(*_probe(queue))


def probe_sync(connection: SyncConnection, queue: str) -> None:
    """The same, blocking."""
    connection.execute(*_probe(queue))


def renew(
    connection: SyncConnection, queue: str, lease_ids: Sequence[str], lease_ms: int, now: int | str = SERVER_CLOCK
) -> tuple[list[str], list[str]]:
    """Extend leases; returns (lease_ids that are gone, ids of running jobs that shall be cancelled)."""
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
    """Take over the leases that have expired, or those of `holders`; promote what is due; forget what is over.

    A holder is the name of a pod; or `held_by(worker)`, for the leases of one worker; or a `codec.lease_suffix`, for
    those of one claim.
    """
    ids, envelopes, histories, former_ids, promoted, left, time, more, dropped = await connection.call(
        "rescue", queue, [now, lease_suffix, lease_ms, *keep, limit, *holders]
    )
    taken = [
        Taken(
            id=job_id.decode(),
            lease_id=job_id.decode() + lease_suffix,
            former_worker=codec.split_lease_id(lease_id.decode())[1],
            former_lease_id=lease_id.decode(),
            envelope=envelope,
            history=codec.read_history(history),
        )
        for job_id, envelope, history, lease_id in zip(ids, envelopes, histories, former_ids, strict=True)
    ]
    return Rescue(taken, promoted, left, time / 1000, bool(more), dropped)


def held_by(worker: str) -> str:
    """Return what stands for all leases of one worker id among the `holders` of a rescue."""
    return f":{worker}:"


async def drain(connection: Connection, queues: Sequence[str], worker: str) -> bool:
    """Take the lock in all of a worker's queues, or in none; False: it holds a lease."""
    for place, queue in enumerate(queues):
        if not await connection.call("drain", queue, [worker]):
            await undrain(connection, queues[:place], worker)
            return False
    return True


async def pause(connection: Connection, queues: Sequence[str], workers: Sequence[str]) -> None:
    """Take the lock whatever these workers hold: what runs goes on, and nothing more is claimed."""
    if workers:
        for queue in queues:
            key = keys.of_queue(queue, "draining")
            await connection.execute("SADD", key, *workers)
            await connection.execute("PEXPIRE", key, DRAINING_TTL)


async def undrain(connection: Connection, queues: Sequence[str], worker: str) -> None:
    """Give the lock back."""
    for queue in queues:
        await connection.execute("SREM", keys.of_queue(queue, "draining"), worker)


async def cancel(connection: Connection, queue: str, job_id: str, now: int | str = SERVER_CLOCK) -> JobState | None:
    """Cancel a job; its state now (`running`: its worker will be told), or None: there is no such job."""
    arguments = [now, job_id, CANCELLED_TTL]
    state = (await connection.call("cancel", queue, arguments)).decode()
    return JobState(state) if state else None


async def heartbeat(connection: Connection, report: Heartbeat, now: int | str = SERVER_CLOCK) -> None:
    """Say that a worker is there. `seen` and `draining` are the server's to say."""
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
    """Renew all leases of a worker in its place; returns how many. Raises StoreError."""
    return int(await connection.call("extend", queue, [now, worker, lease_ms]))


async def repeat_heartbeat(connection: Connection, pool: str, worker: str, now: int | str = SERVER_CLOCK) -> None:
    """Report again what a worker last reported, if it is listed: it is alive and cannot say so. Raises StoreError."""
    key = keys.workers(pool)
    value = await connection.execute("HGET", key, worker)
    if value is not None:
        report = value.partition(b" ")[2]
        await connection.call_keys(scripts.get("heartbeat"), [key], [now, worker, report])


async def forget_worker(connection: Connection, pool: str, worker: str, queues: Sequence[str]) -> None:
    """A worker that went for good is no longer listed."""
    await unlist(connection, pool, [worker])
    await undrain(connection, queues, worker)


async def unlist(connection: Connection, pool: str, workers: Sequence[str]) -> None:
    """These workers are no longer listed; their locks stay."""
    if workers:
        await connection.execute("HDEL", keys.workers(pool), *workers)
