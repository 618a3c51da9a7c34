"""What listings ask of Redis: one short-lived connection a command, plain rows out."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from jobpools.cli.output import moment
from jobpools.core.jobs import json_values
from jobpools.core.jobs.job import JobState
from jobpools.core.text.did_you_mean import did_you_mean
from jobpools.core.text.durations import parse_duration
from jobpools.errors import ConfigurationError, JobNotFoundError, StoreDataError
from jobpools.settings import redis_url
from jobpools.store import ledger, reads, writes
from jobpools.store.connect import Connection, connect

T = TypeVar("T")


def ask(url: str | None, question: Callable[[Connection], Awaitable[T]]) -> T:
    """Run one conversation. Raises StoreError."""

    async def whole() -> T:
        connection = connect(redis_url(os.environ, url))
        try:
            return await question(connection)
        except StoreDataError:
            for queue in await reads.queues(connection):
                await reads.check_types(connection, queue)  # says which key it is
            raise
        finally:
            await connection.aclose()

    return asyncio.run(whole())


async def queues(connection: Connection) -> list[dict[str, Any]]:
    """A row for each queue that ever took a job."""
    names = await reads.queues(connection)
    books = await ledger.read(connection, names)
    facts = (await reads.endpoint_facts(connection, {"": names})).queues
    by_name = {str(name): each for name, each in facts.items()}
    return [
        {
            "queue": name,
            "queued": books[name].ready,
            "scheduled": books[name].scheduled,
            "running": books[name].running,
            "dead": books[name].dead,
            "dropped": books[name].dropped,
            "oldest": by_name[name].oldest_seconds,
            "enqueued": books[name].enqueued,
            "completed": books[name].completed,
            "failed": books[name].failed,
            "cancelled": books[name].cancelled,
        }
        for name in names
    ]


async def pools(connection: Connection) -> list[dict[str, Any]]:
    """A row for each pool that had workers in the last day."""
    names, keys = await reads.queues(connection), await reads.pools(connection)
    found = (await reads.endpoint_facts(connection, dict.fromkeys(keys, names))).heartbeats
    return [
        {
            "pool": pool,
            "workers": len(found[pool]),
            "slots": sum(each.slots for each in found[pool]),
            "busy": sum(each.busy for each in found[pool]),
            "draining": sum(each.draining for each in found[pool]),
            "completed": sum(each.completed for each in found[pool]),
            "failed": sum(each.failed for each in found[pool]),
            "versions": sorted({each.version for each in found[pool]}),
        }
        for pool in sorted(found)
    ]


async def stats(connection: Connection, over: float) -> list[dict[str, Any]]:
    """A row for each queue: its books, and its rates between two looks, `over` seconds apart."""
    names = await reads.queues(connection)
    first, started = await ledger.read(connection, names), time.monotonic()
    if names:
        await asyncio.sleep(over)
    books, passed = await ledger.read(connection, names), max(time.monotonic() - started, 1e-3)
    return [
        {
            "queue": name,
            "enqueued": book.enqueued,
            "completed": book.completed,
            "retried": book.retried,
            "dead": book.dead,
            "cancelled": book.cancelled,
            "purged": book.purged,
            "dropped": book.dropped,
            "lost": book.lost,
            "failed": book.failed,
            "failures": round(book.failed / ended, 3) if (ended := book.failed + book.completed) else None,
            "enqueued/s": round((book.enqueued - first[name].enqueued) / passed, 1),
            "completed/s": round((book.completed - first[name].completed) / passed, 1),
        }
        for name, book in books.items()
    ]


def span(option: str, text: str) -> float:
    """Seconds of a duration. Raises ConfigurationError."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise ConfigurationError(f"{option}: {error}") from error


async def workers(connection: Connection) -> list[dict[str, Any]]:
    """A row for each worker that reported lately."""
    names, pools = await reads.queues(connection), await reads.pools(connection)
    facts = await reads.endpoint_facts(connection, dict.fromkeys(pools, names))
    found, now = facts.heartbeats, facts.now or time.time()
    return [
        {
            "worker": each.host,
            "pool": pool,
            "slots": each.slots,
            "busy": each.busy,
            "completed": each.completed,
            "failed": each.failed,
            "left_behind": each.left_behind,
            "draining": each.draining,
            "memory": f"{each.rss_bytes / 1e6:.0f}MB",
            "age": now - each.started,
            "seen": now - each.seen,
            "id": each.worker,
            "version": each.version,
        }
        for pool in sorted(found)
        for each in found[pool]
    ]


async def jobs(connection: Connection, queue: str | None, state: JobState | None, limit: int) -> list[dict[str, Any]]:
    """A row for each job; of all queues and states where none is given."""
    names, now = await named(connection, queue), await reads.server_time(connection)
    states = [state] if state else list(JobState)
    rows: list[dict[str, Any]] = []
    for name in names:
        for each in states:
            views = await reads.jobs(connection, name, each, limit - len(rows))
            rows += [row(view, now) for view in views]
            if len(rows) >= limit:
                return rows[:limit]
    return rows


async def find(connection: Connection, job_id: str, queue: str | None) -> reads.JobView:
    """The job of this id, looked for in all queues where none is given. Raises JobNotFoundError."""
    for name in await named(connection, queue):
        view = await reads.job(connection, name, job_id)
        if view is not None:
            return view
    where = f"queue {queue}" if queue else "any queue"
    raise JobNotFoundError(f"no job {job_id} in {where}: it never existed, or its result's TTL has passed")


async def cancel(connection: Connection, job_id: str, queue: str | None) -> tuple[str, JobState]:
    """(queue, the state it is in now). Raises JobNotFoundError."""
    view = await find(connection, job_id, queue)
    state = await writes.cancel(connection, view.queue, job_id)
    if state is None:
        raise JobNotFoundError(f"no job {job_id} in queue {view.queue}")
    return view.queue, state


async def named(connection: Connection, queue: str | None) -> list[str]:
    """The queue of this name, or all queues. Raises JobNotFoundError for one that never took a job."""
    known = await reads.queues(connection)
    if queue is None:
        return known
    if queue not in known:
        raise JobNotFoundError(f"queue {queue} has never had a job{did_you_mean(queue, known)}")
    return [queue]


def attempts_begun(view: reads.JobView) -> int:
    """Return the number of started attempts: failed, timed out, crashed, and the one that is running or completed.

    An attempt that was handed back (its worker drained) is not charged and not counted.
    """
    last = view.state in (JobState.RUNNING, JobState.COMPLETED)
    return view.history.attempts + view.history.crashes + last


def row(view: reads.JobView, now: float) -> dict[str, Any]:
    """A job in a listing."""
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
        "worker": view.worker,
        "tags": list(view.tags),
    }


def details(view: reads.JobView) -> dict[str, Any]:
    """All that is known of a job."""
    return {
        "id": view.id,
        "queue": view.queue,
        "state": str(view.state),
        "name": view.name,
        "priority": view.priority,
        "args": _json(view.args),
        "tags": list(view.tags),
        "enqueued": moment(view.enqueued_at or None),
        "due": moment(view.due_at),
        "worker": view.worker or None,
        "ended": moment(view.ended_at),
        "seconds": view.ran_for,
        "result": _json(view.result),
        "problem": view.problem or None,
        "note": view.history.note or None,
        "attempts_begun": attempts_begun(view),
        "attempts": [
            {
                "attempt": each.attempt,
                "outcome": str(each.outcome),
                "at": moment(each.at),
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
