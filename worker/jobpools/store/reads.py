"""Read operations: facts for the control loop, and jobs for users."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from jobpools.core.jobs.job import History, JobState, Priority
from jobpools.core.pools.facts import EndpointFacts, Heartbeat, QueueFacts
from jobpools.core.text.names import QueueName, WorkerId
from jobpools.errors import StoreDataError
from jobpools.store import codec, facts_reply, keys
from jobpools.store.connect import Connection
from jobpools.store.facts_reply import FactsReply

FORGOTTEN_AFTER = 30.0
"""Seconds without a heartbeat (six intervals) after which a worker is no longer listed."""
PAGE = 1000
"""Maximum number of histories in one read."""
KeyOf = Callable[[str], str]
"""Returns the key of a part of one queue."""
_READY = tuple((f"ready:{priority}", JobState.QUEUED) for priority in Priority)
_SCHEDULED = tuple((f"scheduled:{priority}", JobState.SCHEDULED) for priority in Priority)


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as the command line and the dashboard show it."""

    id: str
    queue: str
    state: JobState
    name: str = ""
    priority: str = ""
    args: bytes = b""
    """The JSON object of keyword arguments."""
    tags: tuple[str, ...] = ()
    enqueued_at: float = 0.0
    due_at: float | None = None
    worker: str = ""
    """The worker that runs it."""
    ended_at: float | None = None
    result: bytes | None = None
    ran_for: float | None = None
    """Duration in seconds of the attempt that completed it."""
    history: History = History()  # noqa: RUF009  # frozen, so one for all is safe
    problem: str = ""
    """Why the envelope cannot be read; empty: it was read."""


async def endpoint_facts(
    connection: Connection, pools: Mapping[str, Sequence[str]], now: int | str = ""
) -> EndpointFacts:
    """Read the queues and heartbeats of these pools (key → queue names) in one round trip.

    Raises StoreError when the server cannot be read: unknown is not zero.
    """
    queues = sorted({queue for names in pools.values() for queue in names})
    asked = queues or ["default"]  # the reply of a queue also has the server's time, by which heartbeats expire
    commands = [facts_reply.command(queue, now) for queue in asked]
    commands += [("HGETALL", keys.workers(pool)) for pool in pools]
    commands.append(("INFO", "memory"))
    replies = await connection.gather(commands, [facts_reply.SCRIPT])
    found = [facts_reply.parse(reply) for reply in replies[: len(asked)]]
    draining = {worker.decode() for reply in found for worker in reply.draining}
    server_now = found[0].now / 1000
    return EndpointFacts(
        queues={QueueName(queue): _queue_facts(reply) for queue, reply in zip(queues, found, strict=False)},
        heartbeats={
            pool: _heartbeats(pool, reply, draining, server_now)
            for pool, reply in zip(pools, replies[len(asked) :], strict=False)
        },
        warnings=_warnings(replies[-1]),
        now=server_now,
    )


def _queue_facts(reply: FactsReply) -> QueueFacts:
    counts = reply.totals
    ages = [
        _age(reply.now / 1000, head.decode(), stamp) for head, stamp in zip(reply.heads, reply.ready_since, strict=True)
    ]
    return QueueFacts(
        queued=reply.queued,
        due=reply.due,
        scheduled=reply.scheduled,
        in_flight=reply.leases,
        dead=reply.dead,
        oldest_seconds=max((age for age in ages if age is not None), default=None),
        expired=bool(reply.expired),
        ended=reply.records,
        due_in=None if reply.next_due < 0 else (reply.next_due - reply.now) / 1000,
        completed_total=counts.get("completed", 0),
        failed_total=counts.get("failed", 0),
        crashed_total=counts.get("crashed", 0),
        dead_total=counts.get("dead", 0),
    )


def _age(now: float, job_id: str, since: bytes) -> float | None:
    ready = float(since) / 1000 if since else codec.id_time(job_id)
    return None if ready is None else max(0.0, now - ready)


def _pairs(reply: Any) -> list[tuple[bytes, bytes]]:
    """Return the fields and values of a hash, whether the client has made a dict of it or not."""
    if isinstance(reply, dict):
        known = cast("dict[bytes, bytes]", reply)
        return list(known.items())
    return list(zip(reply[::2], reply[1::2], strict=True))


def _heartbeats(pool: str, reply: Any, draining: set[str], now: float) -> tuple[Heartbeat, ...]:
    found: list[Heartbeat] = []
    for worker, value in _pairs(reply):
        stamp, _, report = value.partition(b" ")
        if not stamp.isdigit():
            raise StoreDataError(f"{keys.workers(pool)}: field {worker!r} does not hold a worker heartbeat")
        seen = int(stamp) / 1000
        if now - seen > FORGOTTEN_AFTER:
            continue
        values = codec.decode_json(report)
        name = worker.decode()
        known = {key: values[key] for key in _REPORTED if key in values}
        found.append(Heartbeat(worker=WorkerId(name), pool=pool, seen=seen, draining=name in draining, **known))
    return tuple(sorted(found, key=lambda each: each.worker))


_REPORTED = ("slots", "busy", "started", "idle_since", "version", "rss_bytes", "completed", "failed", "left_behind")


def _warnings(info: Any) -> tuple[str, ...]:
    if isinstance(info, dict):
        known = cast("dict[str, Any]", info)
        policy = str(known.get("maxmemory_policy", ""))
    else:
        policy = _field(info, "maxmemory_policy")
    if policy in ("", "noeviction"):
        return ()
    return (f"maxmemory-policy is {policy}: the server may evict jobs when memory is short; set it to noeviction",)


def _field(info: bytes | str, name: str) -> str:
    text = info.decode() if isinstance(info, bytes) else info
    return next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith(f"{name}:")), "")


async def server_warnings(connection: Connection) -> tuple[str, ...]:
    """Return warnings about the server's settings."""
    return _warnings(await connection.execute("INFO", "memory"))


async def check_types(connection: Connection, queue: str) -> None:
    """Check that the keys of a queue have the right types. Raises StoreDataError.

    A script that meets a key of another type ends halfway, so the check comes before it.
    """
    names = [keys.of_queue(queue, part) for part in keys.PARTS]
    if wrong := keys.type_problem(names, await connection.gather([("TYPE", name) for name in names])):
        raise StoreDataError(wrong)


async def workers(connection: Connection, pool: str, queues: Sequence[str] = ()) -> tuple[Heartbeat, ...]:
    """Return the last heartbeat of each worker that is listed."""
    return (await endpoint_facts(connection, {pool: list(queues)})).heartbeats[pool]


async def pools(connection: Connection) -> list[str]:
    """Return the keys of all pools that have had workers in the last day."""
    prefix, suffix = "jobpools:{pool:", "}:workers"
    return sorted([key[len(prefix) : -len(suffix)] for key in await connection.scan(f"{prefix}*{suffix}")])


async def queues(connection: Connection) -> list[str]:
    """Return the names of all queues that ever accepted a job."""
    prefix, suffix = "jobpools:{", "}:totals"
    return sorted([key[len(prefix) : -len(suffix)] for key in await connection.scan(f"{prefix}*{suffix}")])


async def server_time(connection: Connection) -> float:
    """Return the server's time, seconds since the epoch."""
    return _seconds(await connection.execute("TIME"), "")


def _seconds(reply: Any, now: int | str) -> float:
    """Return seconds since the epoch: of a reply of TIME, or of `now` in ms if it is set."""
    return int(reply[0]) + int(reply[1]) / 1e6 if now == "" else int(now) / 1000


async def result(connection: Connection, queue: str, job_id: str, now: int | str = "") -> codec.ResultRecord | None:
    """Return the record of an ended job; None: the job has not ended, or its record has expired."""
    time, raw = await connection.gather([("TIME",), ("HGET", keys.of_queue(queue, "results"), job_id)])
    return _live(raw, _seconds(time, now))


def _live(raw: bytes | None, now: float) -> codec.ResultRecord | None:
    """Parse a record; None: there is none, or it has expired, to the millisecond."""
    if raw is None:
        return None
    record = codec.decode_result(raw)
    return record if record.until > now else None


async def job(connection: Connection, queue: str, job_id: str, now: int | str = "") -> JobView | None:
    """Return one job in any state; None: there is no such job, or its record has expired.

    For a queued or running job the server searches all leases: a tenth of a second if 100,000 jobs run.
    """
    while (view := await _read_job(connection, queue, job_id, now)) is not None and view.state is JobState.QUEUED:
        # No read found it elsewhere. One atomic script tells whether it is queued, runs, or has moved meanwhile.
        (reply,) = await connection.call("states", queue, [now, job_id])
        state, _, worker = reply.decode().partition(":")
        if state in (JobState.QUEUED, JobState.RUNNING):
            return replace(view, state=JobState(state), worker=worker)
    return view


async def _read_job(connection: Connection, queue: str, job_id: str, now: int | str) -> JobView | None:
    at = _at(queue)
    # The envelope is read first: a job that ends in between is found in its earlier state, or by its record.
    time, envelope, history, record, dead, *due = await connection.gather(
        [
            ("TIME",),
            ("HGET", at("jobs"), job_id),
            ("HGET", at("history"), job_id),
            ("HGET", at("results"), job_id),
            ("ZSCORE", at("dead"), job_id),
            *[("ZSCORE", at(part), job_id) for part, _ in _SCHEDULED],
        ]
    )
    ended = _live(record, _seconds(time, now))
    if ended is not None:
        names = codec.names_of(_pairs(await connection.execute("HGETALL", at("handlers"))))
        return _ended_view(queue, job_id, ended, history, names)
    if envelope is None:
        return None
    if dead is not None:
        facts: dict[str, Any] = {"state": JobState.DEAD, "ended_at": float(dead) / 1000}
    elif any(score is not None for score in due):
        facts = {"state": JobState.SCHEDULED, "due_at": next(float(score) for score in due if score is not None) / 1000}
    else:
        facts = {"state": JobState.QUEUED}
    return _view(queue, job_id, envelope, history, facts)


def _at(queue: str) -> KeyOf:
    return lambda part: keys.of_queue(queue, part)


def _ended_view(
    queue: str, job_id: str, ended: codec.ResultRecord, history: bytes | None, names: Mapping[str, str]
) -> JobView:
    """Return the view of an ended job, of which only the record and the history are left."""
    return JobView(
        id=job_id,
        queue=queue,
        state=JobState(ended.state),
        name=names.get(ended.name, ended.name),
        enqueued_at=codec.id_time(job_id) or 0.0,
        ended_at=ended.at,
        result=bytes(ended.result) if ended.state == JobState.COMPLETED else None,
        ran_for=ended.ms / 1000 if ended.state == JobState.COMPLETED else None,
        history=codec.decode_history(history),
    )


def _view(queue: str, job_id: str, envelope: bytes | None, history: bytes | None, facts: dict[str, Any]) -> JobView:
    past = codec.decode_history(history)
    try:
        found = codec.decode(envelope or b"")
    except StoreDataError as error:
        return JobView(job_id, queue, history=past, problem=str(error), **facts)
    return JobView(
        id=job_id,
        queue=queue,
        name=found.name,
        priority=found.priority,
        args=bytes(found.args),
        tags=found.tags,
        enqueued_at=codec.enqueued_at(found),
        history=past,
        **facts,
    )


async def jobs(
    connection: Connection, queue: str, state: JobState, limit: int = 100, now: int | str = ""
) -> list[JobView]:
    """Return the first jobs of a state, in the order in which they leave it; ended jobs newest first."""
    if state in (JobState.COMPLETED, JobState.CANCELLED):
        return await _ended(connection, queue, state, limit, now)
    found = await _ids(connection, queue, state, limit)
    if not found:
        return []
    ids = [job_id for job_id, _ in found]
    at = _at(queue)
    envelopes, histories = await connection.gather([("HMGET", at(part), *ids) for part in ("jobs", "history")])
    return [
        _view(queue, job_id, envelope, history, facts)
        for (job_id, facts), envelope, history in zip(found, envelopes, histories, strict=True)
        if envelope is not None  # the job has ended meanwhile
    ]


async def _ended(connection: Connection, queue: str, state: JobState, limit: int, now: int | str) -> list[JobView]:
    """Return jobs that ended in this state, newest first."""
    at = _at(queue)
    classes = [kind.decode() for kind, _ in _pairs(await connection.execute("HGETALL", at("done")))]
    views: list[JobView] = []
    window, more = limit, bool(classes)
    while more and len(views) < limit:
        lists = await connection.gather([("LRANGE", keys.ended(queue, each), -window, -1) for each in classes])
        newest = sorted((codec.decode_ended(raw) for each in lists for raw in each), reverse=True)[:window]
        ids = [job_id for _, _, job_id in newest]
        time, numbers, records, histories = await connection.gather(
            [
                ("TIME",),
                ("HGETALL", at("handlers")),
                *[("HMGET", at(part), *(ids or [""])) for part in ("results", "history")],
            ]
        )
        names = codec.names_of(_pairs(numbers))
        found = [
            (job_id, record, history)
            for job_id, raw, history in zip(ids, records, histories, strict=False)
            if (record := _live(raw, _seconds(time, now))) is not None and record.state == state
        ]
        views = [_ended_view(queue, *each, names) for each in found[:limit]]
        more = len(newest) == window
        window *= 4
    return views


async def waits(connection: Connection, queue: str, limit: int) -> tuple[dict[str, int], float | None]:
    """Return why the first `limit` scheduled jobs wait: notes of jobs that workers handed back, and the next due time.

    The first value counts jobs by note. The second is when the first job without a note is due, in seconds since the
    epoch; None: there is none.
    """
    found = await _ids(connection, queue, JobState.SCHEDULED, limit)
    notes: dict[str, int] = {}
    due = None
    for start in range(0, len(found), PAGE):
        page = found[start : start + PAGE]
        histories = await connection.execute("HMGET", _at(queue)("history"), *[job_id for job_id, _ in page])
        for (_, facts), history in zip(page, histories, strict=True):
            if note := codec.read_history(history).note:
                notes[note] = notes.get(note, 0) + 1
            elif due is None:
                due = float(facts["due_at"])
    return notes, due


Place = dict[str, Any]
"""Fields of JobView that follow from the key in which a job was found."""


async def _ids(connection: Connection, queue: str, state: JobState, limit: int) -> list[tuple[str, Place]]:
    """Return (id, place) of the first jobs of a state that has not ended."""
    return await _IDS[state](connection, _at(queue), limit)


async def _queued_ids(connection: Connection, at: KeyOf, limit: int) -> list[tuple[str, Place]]:
    lists = await connection.gather([("LRANGE", at(part), 0, limit - 1) for part, _ in _READY])
    return [(job_id.decode(), {"state": JobState.QUEUED}) for ids in lists for job_id in ids][:limit]


async def _running_ids(connection: Connection, at: KeyOf, limit: int) -> list[tuple[str, Place]]:
    leases = await connection.execute("ZRANGE", at("leases"), 0, limit - 1)
    held = [codec.split_lease_id(lease.decode()) for lease in leases]
    return [(job_id, {"state": JobState.RUNNING, "worker": worker}) for job_id, worker in held]


async def _scheduled_ids(connection: Connection, at: KeyOf, limit: int) -> list[tuple[str, Place]]:
    replies = await connection.gather([("ZRANGE", at(part), 0, limit - 1, "WITHSCORES") for part, _ in _SCHEDULED])
    due = sorted((score, job_id) for reply in replies for job_id, score in _scored(reply))
    return [(job_id, {"state": JobState.SCHEDULED, "due_at": score / 1000}) for score, job_id in due[:limit]]


async def _dead_ids(connection: Connection, at: KeyOf, limit: int) -> list[tuple[str, Place]]:
    died = _scored(await connection.execute("ZRANGE", at("dead"), 0, limit - 1, "REV", "WITHSCORES"))
    return [(job_id, {"state": JobState.DEAD, "ended_at": score / 1000}) for job_id, score in died]


_IDS = {
    JobState.QUEUED: _queued_ids,
    JobState.RUNNING: _running_ids,
    JobState.SCHEDULED: _scheduled_ids,
    JobState.DEAD: _dead_ids,
}
"""By state: the function that reads the ids of its first jobs, in the order in which they leave it."""


def _scored(reply: Any) -> list[tuple[str, float]]:
    """Return (id, score) pairs, whether the client has paired them or not."""
    pairs = reply if reply and isinstance(reply[0], (list, tuple)) else zip(reply[::2], reply[1::2], strict=True)
    return [(job_id.decode(), float(score)) for job_id, score in pairs]
