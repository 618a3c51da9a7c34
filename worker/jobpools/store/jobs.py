"""Read one job, or its result."""

from dataclasses import replace
from typing import Any

from jobpools.core.jobs.job import JobState
from jobpools.store import keys
from jobpools.store.connection import Connection
from jobpools.store.job_view import JobView, ended_view, view_of
from jobpools.store.records import ResultRecord, decode_unexpired, names_of
from jobpools.store.replies import pairs, seconds


async def read_result(connection: Connection, queue: str, job_id: str, now: int | str = "") -> ResultRecord | None:
    """Return the record of an ended job; None: the job has not ended, or its record has expired."""
    time, raw = await connection.gather([("TIME",), ("HGET", keys.of_queue(queue, "results"), job_id)])
    return decode_unexpired(raw, seconds(time, now))


async def read_job(connection: Connection, queue: str, job_id: str, now: int | str = "") -> JobView | None:
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
    # The envelope is read first: a job that ends in between is found in its earlier state, or by its record.
    time, envelope, history, record, dead, *due = await connection.gather(
        [
            ("TIME",),
            ("HGET", keys.of_queue(queue, "jobs"), job_id),
            ("HGET", keys.of_queue(queue, "history"), job_id),
            ("HGET", keys.of_queue(queue, "results"), job_id),
            ("ZSCORE", keys.of_queue(queue, "dead"), job_id),
            *[("ZSCORE", keys.of_queue(queue, part), job_id) for part in keys.SCHEDULED],
        ]
    )
    ended = decode_unexpired(record, seconds(time, now))
    if ended is not None:
        names = names_of(pairs(await connection.execute("HGETALL", keys.of_queue(queue, "handlers"))))
        return ended_view(queue, job_id, ended, history, names)
    if envelope is None:
        return None
    if dead is not None:
        facts: dict[str, Any] = {"state": JobState.DEAD, "ended_at": float(dead) / 1000}
    elif any(score is not None for score in due):
        facts = {"state": JobState.SCHEDULED, "due_at": next(float(score) for score in due if score is not None) / 1000}
    else:
        facts = {"state": JobState.QUEUED}
    return view_of(queue, job_id, envelope, history, facts)
