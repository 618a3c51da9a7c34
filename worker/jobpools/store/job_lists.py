"""Read the jobs of one state."""

from jobpools.core.jobs.job import JobState
from jobpools.store import keys
from jobpools.store.connection import Connection
from jobpools.store.history import read_history
from jobpools.store.job_view import JobView, KeyFields, ended_view, view_of
from jobpools.store.lease_ids import split_lease_id
from jobpools.store.records import decode_ended, decode_unexpired, names_of
from jobpools.store.replies import pairs, scored, seconds

PAGE = 1000
"""Maximum number of histories in one read."""


async def read_jobs(
    connection: Connection, queue: str, state: JobState, limit: int = 100, now: int | str = ""
) -> list[JobView]:
    """Return the first jobs of a state, in the order in which they leave it; ended jobs newest first."""
    if state in (JobState.COMPLETED, JobState.CANCELLED):
        return await _ended(connection, queue, state, limit, now)
    found = await _ids(connection, queue, state, limit)
    if not found:
        return []
    ids = [job_id for job_id, _ in found]
    envelopes, histories = await connection.gather(
        [("HMGET", keys.of_queue(queue, part), *ids) for part in ("jobs", "history")]
    )
    return [
        view_of(queue, job_id, envelope, history, facts)
        for (job_id, facts), envelope, history in zip(found, envelopes, histories, strict=True)
        if envelope is not None  # the job has ended meanwhile
    ]


async def _ended(connection: Connection, queue: str, state: JobState, limit: int, now: int | str) -> list[JobView]:
    """Return jobs that ended in this state, newest first."""
    classes = [kind.decode() for kind, _ in pairs(await connection.execute("HGETALL", keys.of_queue(queue, "done")))]
    views: list[JobView] = []
    window, more = limit, bool(classes)
    while more and len(views) < limit:
        lists = await connection.gather([("LRANGE", keys.ended(queue, each), -window, -1) for each in classes])
        newest = sorted((decode_ended(raw) for each in lists for raw in each), reverse=True)[:window]
        ids = [job_id for _, _, job_id in newest]
        time, numbers, records, histories = await connection.gather(
            [
                ("TIME",),
                ("HGETALL", keys.of_queue(queue, "handlers")),
                *[("HMGET", keys.of_queue(queue, part), *(ids or [""])) for part in ("results", "history")],
            ]
        )
        names = names_of(pairs(numbers))
        found = [
            (job_id, record, history)
            for job_id, raw, history in zip(ids, records, histories, strict=False)
            if (record := decode_unexpired(raw, seconds(time, now))) is not None and record.state == state
        ]
        views = [ended_view(queue, *each, names) for each in found[:limit]]
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
        histories = await connection.execute("HMGET", keys.of_queue(queue, "history"), *[job_id for job_id, _ in page])
        for (_, facts), history in zip(page, histories, strict=True):
            if note := read_history(history).note:
                notes[note] = notes.get(note, 0) + 1
            elif due is None:
                due = float(facts["due_at"])
    return notes, due


async def _ids(connection: Connection, queue: str, state: JobState, limit: int) -> list[tuple[str, KeyFields]]:
    """Return (id, fields) of the first jobs of a state that has not ended."""
    return await _IDS[state](connection, queue, limit)


async def _queued_ids(connection: Connection, queue: str, limit: int) -> list[tuple[str, KeyFields]]:
    lists = await connection.gather([("LRANGE", keys.of_queue(queue, part), 0, limit - 1) for part in keys.READY])
    return [(job_id.decode(), {"state": JobState.QUEUED}) for ids in lists for job_id in ids][:limit]


async def _running_ids(connection: Connection, queue: str, limit: int) -> list[tuple[str, KeyFields]]:
    leases = await connection.execute("ZRANGE", keys.of_queue(queue, "leases"), 0, limit - 1)
    held = [split_lease_id(lease.decode()) for lease in leases]
    return [(job_id, {"state": JobState.RUNNING, "worker": worker}) for job_id, worker in held]


async def _scheduled_ids(connection: Connection, queue: str, limit: int) -> list[tuple[str, KeyFields]]:
    replies = await connection.gather(
        [("ZRANGE", keys.of_queue(queue, part), 0, limit - 1, "WITHSCORES") for part in keys.SCHEDULED]
    )
    due = sorted((score, job_id) for reply in replies for job_id, score in scored(reply))
    return [(job_id, {"state": JobState.SCHEDULED, "due_at": score / 1000}) for score, job_id in due[:limit]]


async def _dead_ids(connection: Connection, queue: str, limit: int) -> list[tuple[str, KeyFields]]:
    died = scored(await connection.execute("ZRANGE", keys.of_queue(queue, "dead"), 0, limit - 1, "REV", "WITHSCORES"))
    return [(job_id, {"state": JobState.DEAD, "ended_at": score / 1000}) for job_id, score in died]


_IDS = {
    JobState.QUEUED: _queued_ids,
    JobState.RUNNING: _running_ids,
    JobState.SCHEDULED: _scheduled_ids,
    JobState.DEAD: _dead_ids,
}
"""By state: the function that reads the ids of its first jobs, in the order in which they leave it."""
