"""What commands about single jobs read from Redis, as plain rows."""

from typing import Any

from jobpools.cli.output import format_time
from jobpools.core.jobs import json_values
from jobpools.core.jobs.job import JobState
from jobpools.core.text.did_you_mean import did_you_mean
from jobpools.errors import JobNotFoundError
from jobpools.store.cancellations import cancel_job
from jobpools.store.connection import Connection
from jobpools.store.job_lists import read_jobs
from jobpools.store.job_view import JobView
from jobpools.store.jobs import read_job
from jobpools.store.server import queue_names, server_time


async def jobs(connection: Connection, queue: str | None, state: JobState | None, limit: int) -> list[dict[str, Any]]:
    """Return a row for each job of a queue and a state; None: of all queues, in any state."""
    names, now = await resolve_queues(connection, queue), await server_time(connection)
    states = [state] if state else list(JobState)
    rows: list[dict[str, Any]] = []
    for name in names:
        for each in states:
            views = await read_jobs(connection, name, each, limit - len(rows))
            rows += [row(view, now) for view in views]
            if len(rows) >= limit:
                return rows[:limit]
    return rows


async def find(connection: Connection, job_id: str, queue: str | None) -> JobView:
    """Return the job with this id; `queue` None: from any queue. Raises JobNotFoundError."""
    for name in await resolve_queues(connection, queue):
        view = await read_job(connection, name, job_id)
        if view is not None:
            return view
    where = f"queue {queue}" if queue else "any queue"
    raise JobNotFoundError(
        f"job {job_id}: not found in {where}; check the id (a record is deleted when its retention is over)"
    )


async def cancel(connection: Connection, job_id: str, queue: str | None) -> tuple[str, JobState]:
    """Cancel a job and return (its queue, its state now). Raises JobNotFoundError."""
    view = await find(connection, job_id, queue)
    state = await cancel_job(connection, view.queue, job_id)
    if state is None:
        raise JobNotFoundError(f"job {job_id}: not found in queue {view.queue}")
    return view.queue, state


async def resolve_queues(connection: Connection, queue: str | None) -> list[str]:
    """Return this queue, or all queues for None. Raises JobNotFoundError for a queue that has never had a job."""
    known = await queue_names(connection)
    if queue is None:
        return known
    if queue not in known:
        raise JobNotFoundError(f"queue {queue}: it has never had a job{did_you_mean(queue, known)}")
    return [queue]


def attempts_begun(view: JobView) -> int:
    """Return the number of started attempts: failed, timed out, crashed, and the one that is running or completed.

    An attempt that was handed back (its worker drained) is not charged and not counted.
    """
    has_uncharged_attempt = view.state in (JobState.RUNNING, JobState.COMPLETED)
    return view.history.attempts + view.history.crashes + has_uncharged_attempt


def row(view: JobView, now: float) -> dict[str, Any]:
    """Return a job as a row of a listing."""
    last = view.history.entries[-1] if view.history.entries else None
    error = f"{last.error or last.outcome}: {last.message}" if last else ""
    return {
        "id": view.id,
        "queue": view.queue,
        "state": str(view.state),
        "name": view.name,
        "priority": view.priority,
        "attempts": attempts_begun(view),
        "age": now - view.enqueued_at if view.enqueued_at else None,
        "due": None if view.due_at is None else view.due_at - now,
        "note": view.problem or view.history.note or error,
        "reason": view.history.reason and str(view.history.reason),
        "worker": view.worker,
        "tags": list(view.tags),
    }


def details(view: JobView) -> dict[str, Any]:
    """Return everything that is known about a job."""
    return {
        "id": view.id,
        "queue": view.queue,
        "state": str(view.state),
        "name": view.name,
        "priority": view.priority,
        "args": _json(view.args),
        "tags": list(view.tags),
        "metadata": view.metadata,
        "enqueued": format_time(view.enqueued_at or None),
        "due": format_time(view.due_at),
        "expires": format_time(view.expires_at),
        "worker": view.worker or None,
        "ended": format_time(view.ended_at),
        "seconds": view.ran_for,
        "result": _json(view.result),
        "problem": view.problem or None,
        "note": view.history.note or None,
        "reason": view.history.reason and str(view.history.reason),
        "snoozes": view.history.snoozes or None,
        "replays": view.history.replays or None,
        "attempts_begun": attempts_begun(view),
        "attempts": [
            {
                "attempt": each.attempt,
                "outcome": str(each.outcome),
                "at": format_time(each.at),
                "error": each.error,
                "message": each.message,
                "worker": each.worker,
                "traceback": each.traceback,
            }
            for each in view.history.entries
        ],
    }


def _json(raw: bytes | None) -> Any:
    """Return the value of a JSON text, or the text where it cannot be read."""
    if not raw:
        return None
    try:
        return json_values.decode(raw)
    except ValueError:
        return raw.decode(errors="replace")
