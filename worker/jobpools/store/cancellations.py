"""Cancel many jobs: those that were in a queue at the start, once each."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any

from jobpools.core.jobs.job import JobState, Priority
from jobpools.store import keys
from jobpools.store.connection import Connection
from jobpools.store.deadletters import Page
from jobpools.store.lease_ids import split_lease_id
from jobpools.store.script_arguments import CANCELLED_TTL, SERVER_CLOCK

CANCELLABLE = (JobState.QUEUED, JobState.SCHEDULED, JobState.RUNNING)
SCANNED = 1000
"""Number of ids that one command of a snapshot reads."""
AT_ONCE = 50
"""Maximum number of cancel calls in flight."""


async def snapshot(connection: Connection, queue: str, states: Collection[JobState] = CANCELLABLE) -> list[str]:
    """Return the ids of jobs that are in one of these states, each once; jobs that arrive meanwhile may be left out.

    The order of the reads is the order in which jobs move on (scheduled, queued, running), so that a job which moves
    meanwhile is found in its new place. Running jobs are read first as well, for those that are handed back.
    """
    reads = {JobState.SCHEDULED: _scheduled, JobState.QUEUED: _queued, JobState.RUNNING: _running}
    found: dict[str, None] = {}
    for state in (JobState.RUNNING, JobState.SCHEDULED, JobState.QUEUED, JobState.RUNNING):
        if state in states:
            found.update(dict.fromkeys(await reads[state](connection, queue)))
    return list(found)


async def _scheduled(connection: Connection, queue: str) -> list[str]:
    places = [keys.of_queue(queue, f"scheduled:{priority}") for priority in Priority]
    return [job_id for place in places for job_id in await _scanned(connection, place)]


async def _running(connection: Connection, queue: str) -> list[str]:
    return [split_lease_id(each)[0] for each in await _scanned(connection, keys.of_queue(queue, "leases"))]


async def _scanned(connection: Connection, key: str) -> list[str]:
    """Return the elements of a sorted set that are in it from the first command to the last."""
    found: list[str] = []
    cursor: Any = 0
    while True:
        cursor, reply = await connection.execute("ZSCAN", key, cursor, "COUNT", SCANNED)
        paired = bool(reply) and isinstance(reply[0], (list, tuple))
        found += [each.decode() for each in ([pair[0] for pair in reply] if paired else reply[::2])]
        if not int(cursor):
            return found


async def _queued(connection: Connection, queue: str) -> list[str]:
    places = [keys.of_queue(queue, f"ready:{priority}") for priority in Priority]
    return [job_id for place in places for job_id in await _listed(connection, place)]


async def _listed(connection: Connection, key: str) -> list[str]:
    """Return the elements of a ready list, first to last.

    The list is read from its end, by positions counted from the end: workers take from the other end and move
    none of them, and what producers add meanwhile only makes a page begin with ids that were read already.
    """
    length = int(await connection.execute("LLEN", key))
    found: dict[str, None] = {}
    for start in range(0, length, SCANNED):
        page = await connection.execute("LRANGE", key, -start - SCANNED, -start - 1)
        found.update(dict.fromkeys(job_id.decode() for job_id in reversed(page)))
    return list(reversed(found))


async def cancel_job(connection: Connection, queue: str, job_id: str, now: int | str = SERVER_CLOCK) -> JobState | None:
    """Cancel a job; return its state now (`running`: its worker will stop it), or None if there is no such job."""
    arguments = [now, job_id, CANCELLED_TTL]
    state = (await connection.call("cancel", queue, arguments)).decode()
    return JobState(state) if state else None


async def cancelling(connection: Connection, queue: str, ids: Sequence[str]) -> AsyncIterator[Page]:
    """Cancel jobs, a page at a time, each once.

    The first in the queue come first: each is found at the head of its list, so a call is short however long the list.
    """
    for start in range(0, len(ids), AT_ONCE):
        page = ids[start : start + AT_ONCE]
        states = await asyncio.gather(*(cancel_job(connection, queue, job_id) for job_id in page))
        running = states.count(JobState.RUNNING)
        yield Page(len(page), states.count(JobState.CANCELLED) + running, running)
