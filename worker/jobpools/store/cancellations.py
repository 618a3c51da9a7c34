"""Cancel one job, or all jobs that are in a queue when the command starts."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any

from jobpools.core.jobs.job import JobState
from jobpools.store import keys
from jobpools.store.connection import Connection
from jobpools.store.deadletters import Page
from jobpools.store.job_view import KeyFields
from jobpools.store.read_size import SCAN_COUNT
from jobpools.store.replies import scored
from jobpools.store.script_arguments import CANCELLED_TTL, SERVER_CLOCK
from jobpools.store.search_chunks import scored_job

CANCELLABLE = (JobState.QUEUED, JobState.SCHEDULED, JobState.RUNNING)
MAX_IN_FLIGHT = 50
"""Maximum number of calls in flight that cancel or change one job each."""


async def snapshot(connection: Connection, queue: str, states: Collection[JobState] = CANCELLABLE) -> list[str]:
    """Return the ids of jobs that are in one of these states, each once; jobs that arrive meanwhile may be missing."""
    return list(await found_jobs(connection, queue, states))


async def found_jobs(connection: Connection, queue: str, states: Collection[JobState]) -> dict[str, KeyFields]:
    """Return the jobs that are in one of these states, each once; jobs that arrive meanwhile may be missing.

    The order of the reads is the order in which jobs move on (scheduled, queued, running), so that a job which moves
    meanwhile is found where it is now. Running jobs are also read first, to find those that are then handed back.
    """
    read = {JobState.SCHEDULED: _scheduled, JobState.QUEUED: _queued, JobState.RUNNING: _running}
    found: dict[str, KeyFields] = {}
    for state in (JobState.RUNNING, JobState.SCHEDULED, JobState.QUEUED, JobState.RUNNING):
        if state in states:
            found.update(await read[state](connection, queue))
    return found


async def _scheduled(connection: Connection, queue: str) -> list[tuple[str, KeyFields]]:
    names = [keys.of_queue(queue, part) for part in keys.SCHEDULED]
    lists = [await _scanned(connection, name) for name in names]
    return [each for found in lists for each in sorted(found, key=lambda each: (each[1]["due_at"], each[0]))]


async def _running(connection: Connection, queue: str) -> list[tuple[str, KeyFields]]:
    return await _scanned(connection, keys.of_queue(queue, "leases"))


async def _scanned(connection: Connection, key: str) -> list[tuple[str, KeyFields]]:
    """Return the jobs of a sorted set that are in it from the first command to the last, in no order."""
    found: list[tuple[str, KeyFields]] = []
    cursor: Any = 0
    while True:
        cursor, reply = await connection.execute("ZSCAN", key, cursor, "COUNT", SCAN_COUNT)
        found += [scored_job(key, element, score) for element, score in scored(reply)]
        if not int(cursor):
            return found


async def _queued(connection: Connection, queue: str) -> list[tuple[str, KeyFields]]:
    names = [keys.of_queue(queue, part) for part in keys.READY]
    return [(job_id, {"state": JobState.QUEUED}) for name in names for job_id in await _listed(connection, name)]


async def _listed(connection: Connection, key: str) -> list[str]:
    """Return the elements of a ready list, first to last.

    The list is read by positions counted from its end. Workers take jobs from the other end, which moves none of
    these positions. Jobs that producers add meanwhile make a page begin with ids that were already read.
    """
    length = int(await connection.execute("LLEN", key))
    found: dict[str, None] = {}
    for start in range(0, length, SCAN_COUNT):
        page = await connection.execute("LRANGE", key, -start - SCAN_COUNT, -start - 1)
        found.update(dict.fromkeys(job_id.decode() for job_id in reversed(page)))
    return list(reversed(found))


async def cancel_job(connection: Connection, queue: str, job_id: str, now: int | str = SERVER_CLOCK) -> JobState | None:
    """Cancel a job; return its state now (`running`: its worker will stop it), or None if there is no such job."""
    arguments = [now, job_id, CANCELLED_TTL]
    state = (await connection.call("cancel", queue, arguments)).decode()
    return JobState(state) if state else None


async def cancel_jobs(connection: Connection, queue: str, ids: Sequence[str]) -> AsyncIterator[Page]:
    """Cancel jobs, a page at a time, each once.

    Jobs are cancelled in the order of the queue: each is then at the head of its list, so that a call is short.
    """
    for start in range(0, len(ids), MAX_IN_FLIGHT):
        page = ids[start : start + MAX_IN_FLIGHT]
        states = await asyncio.gather(*(cancel_job(connection, queue, job_id) for job_id in page))
        running = states.count(JobState.RUNNING)
        yield Page(len(page), states.count(JobState.CANCELLED) + running, running)
