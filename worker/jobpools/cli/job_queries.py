"""What commands about single jobs read from Redis, as plain rows."""

from dataclasses import dataclass
from typing import Any

from jobpools.cli.output import format_time
from jobpools.core.jobs.job import JobState, Priority
from jobpools.core.jobs.job_filter import JobFilter
from jobpools.core.pools.facts import QueuePause
from jobpools.errors import JobNotFoundError
from jobpools.job_record import json_value
from jobpools.store import search as jobs_search
from jobpools.store.cancellations import cancel_job
from jobpools.store.connection import Connection
from jobpools.store.find_job import find_job
from jobpools.store.job_view import JobView
from jobpools.store.queue_policies import read_pauses
from jobpools.store.running_attempts import with_starts
from jobpools.store.server import server_time

_WAITING = (JobState.QUEUED, JobState.SCHEDULED)


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a listing, and how far the search came."""

    rows: list[dict[str, Any]]
    cursor: str | None
    examined: int
    total: int


async def read(connection: Connection, job_id: str, queue: str | None) -> dict[str, Any]:
    """Return everything that is known about a job, and whether its queue is paused. Raises JobNotFoundError."""
    (view,) = await with_starts(connection, [await find_job(connection, job_id, queue)])
    return details(view, await _pause_of(connection, view))


async def search(connection: Connection, chosen: JobFilter, limit: int, cursor: str | None = None) -> Page:
    """Return a row for each of the next jobs that match a filter."""
    now = await server_time(connection)
    found = await jobs_search.search(connection, chosen, limit=limit, cursor=cursor)
    pauses = await read_pauses(connection, {view.queue for view in found.views if view.state in _WAITING})
    rows = [row(view, now, pauses.get(view.queue)) for view in found.views]
    return Page(rows, found.cursor, found.examined, found.total)


async def _pause_of(connection: Connection, view: JobView) -> QueuePause | None:
    return (await read_pauses(connection, [view.queue] if view.state in _WAITING else [])).get(view.queue)


async def cancel(connection: Connection, job_id: str, queue: str | None) -> tuple[str, JobState]:
    """Cancel a job and return (its queue, its state now). Raises JobNotFoundError."""
    view = await find_job(connection, job_id, queue)
    state = await cancel_job(connection, view.queue, job_id)
    if state is None:
        raise JobNotFoundError(f"job {job_id}: not found in queue {view.queue}")
    return view.queue, state


def row(view: JobView, now: float, pause: QueuePause | None = None) -> dict[str, Any]:
    """Return a job as a row of a listing; `pause`: that of its queue."""
    last = view.history.entries[-1] if view.history.entries else None
    error = f"{last.error or last.outcome}: {last.message}" if last else ""
    return {
        "id": view.id,
        "queue": view.queue,
        "state": str(view.state),
        "name": view.name,
        "priority": view.priority,
        "attempts": view.attempts_begun,
        "age": now - view.enqueued_at if view.enqueued_at else None,
        "due": None if view.due_at is None else view.due_at - now,
        "note": _wait_of(view, pause) or view.problem or view.history.note or error,
        "reason": view.history.reason and str(view.history.reason),
        "worker": view.worker,
        "tags": list(view.tags),
    }


def _wait_of(view: JobView, pause: QueuePause | None) -> str:
    """Return why no worker claims a waiting job; empty: its queue is not paused."""
    return f"the queue is {pause}" if pause is not None and view.state in _WAITING else ""


def _started(view: JobView) -> str | None:
    return "unknown" if view.state is JobState.RUNNING and view.started_at is None else format_time(view.started_at)


def details(view: JobView, pause: QueuePause | None = None) -> dict[str, Any]:
    """Return everything that is known about a job; `pause`: that of its queue."""
    return {
        "id": view.id,
        "queue": view.queue,
        "state": str(view.state),
        "name": view.name,
        "priority": view.priority,
        "priority_number": Priority(view.priority).number if view.priority else None,
        "args": json_value(view.args),
        "tags": list(view.tags),
        "metadata": view.metadata,
        "timeout": view.timeout,
        "enqueued": format_time(view.enqueued_at or None),
        "due": format_time(view.due_at),
        "expires": format_time(view.expires_at),
        "started": _started(view),
        "worker": view.worker or None,
        "lease_until": format_time(view.lease_until),
        "ended": format_time(view.ended_at),
        "seconds": view.ran_for,
        "result": json_value(view.result),
        "problem": view.problem or None,
        "note": _wait_of(view, pause) or view.history.note or None,
        "reason": view.history.reason and str(view.history.reason),
        "snoozes": view.history.snoozes or None,
        "replays": view.history.replays or None,
        "attempts_begun": view.attempts_begun,
        "max_attempts": view.max_attempts,
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
