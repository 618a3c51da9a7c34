"""Change many jobs: those with given ids, or those that match a filter when the command begins, each once."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from jobpools.core.jobs.job import JobState, Priority
from jobpools.core.jobs.job_filter import JobFilter
from jobpools.errors import ConfigurationError, QueueFullError
from jobpools.store import cancellations, deadletters, ended_chunks, keys
from jobpools.store.cancellations import MAX_IN_FLIGHT
from jobpools.store.connection import Connection
from jobpools.store.deadletters import DeadLetter, Page
from jobpools.store.find_job import find_job, resolve_queues
from jobpools.store.job_matching import matcher, may_match
from jobpools.store.job_view import JobView, KeyFields
from jobpools.store.read_size import FIRST_READ, next_size
from jobpools.store.read_views import read_views
from jobpools.store.script_arguments import LETTERS, SERVER_CLOCK
from jobpools.store.server import server_time

PAGE = 250
"""Number of jobs in one call of run_now.lua: about a millisecond of the server's time."""


class Change(StrEnum):
    """The changes of jobs that a command can make."""

    RETRY = "retry"
    """Put dead jobs back into their queue."""
    PURGE = "purge"
    """Delete dead jobs."""
    RUN_NOW = "run-now"
    """Make scheduled jobs ready."""
    RESCHEDULE = "reschedule"
    """Let queued and scheduled jobs wait for another time."""
    CANCEL = "cancel"
    DELETE = "delete"
    """Delete dead jobs, and the records of completed and cancelled ones."""


STATES: Mapping[Change, tuple[JobState, ...]] = {
    Change.RETRY: (JobState.DEAD,),
    Change.PURGE: (JobState.DEAD,),
    Change.RUN_NOW: (JobState.SCHEDULED,),
    Change.RESCHEDULE: (JobState.QUEUED, JobState.SCHEDULED),
    Change.CANCEL: cancellations.CANCELLABLE,
    Change.DELETE: (JobState.COMPLETED, JobState.DEAD, JobState.CANCELLED),
}
"""The states of the jobs that each change applies to."""
PAST: Mapping[Change, str] = {
    Change.RETRY: "retried",
    Change.PURGE: "purged",
    Change.RUN_NOW: "queued",
    Change.RESCHEDULE: "rescheduled",
    Change.CANCEL: "cancelled",
    Change.DELETE: "deleted",
}
"""The change in the past tense, for messages."""


@dataclass(frozen=True, slots=True)
class Selected:
    """One job that a command changes."""

    id: str
    is_dead: bool = False
    ended_at: int | None = None
    """When it ended or died, in ms: a job that ended again since then is left alone. None: whenever it ended."""
    priority: str = ""
    """Priority of a job that has not ended, if it was read."""


Selection = dict[str, list[Selected]]
"""Jobs by queue."""


async def select_ids(connection: Connection, change: Change, ids: Sequence[str], queue: str | None) -> Selection:
    """Return the jobs with these ids, each once; `queue` None: of any queue.

    Raises:
        JobNotFoundError: There is no job with one of the ids.
        ConfigurationError: A job is in a state that the change does not apply to.
    """
    found: Selection = {}
    for job_id in dict.fromkeys(ids):
        view = await find_job(connection, job_id, queue)
        if view.state not in STATES[change] and change is not Change.CANCEL:
            raise ConfigurationError(
                f"job {view.id}: it is {view.state}, not {_alternatives(STATES[change])}; leave out this id "
                "(nothing was changed)"
            )
        selected = replace(_selected(view), ended_at=None)
        found.setdefault(view.queue, []).append(selected)
    return found


def check_states(change: Change, chosen: JobFilter) -> None:
    """Raise ConfigurationError if the filter names a state that the change does not apply to."""
    if wrong := [state for state in chosen.states if state not in STATES[change]]:
        raise ConfigurationError(
            f"state: a {wrong[0]} job cannot be {PAST[change]}; use {_alternatives(STATES[change])}"
        )


def _alternatives(states: Sequence[JobState]) -> str:
    *others, last = states
    return f"{', '.join(others)} or {last}" if others else str(last)


async def select_matching(
    connection: Connection, change: Change, chosen: JobFilter, limit: int | None = None
) -> Selection:
    """Return the jobs that match a filter now and that the change applies to; `limit`: the first ones only.

    Raises:
        ConfigurationError: The filter names a state that the change does not apply to.
        JobNotFoundError: The filter names a queue that has never had a job.
    """
    check_states(change, chosen)
    states = tuple(state for state in chosen.searched_states() if state in STATES[change])
    wanted = replace(chosen, states=(), queue=None).at(await server_time(connection))
    read = change is Change.RESCHEDULE
    found: Selection = {}
    left = limit
    for queue in await resolve_queues(connection, chosen.queue):
        jobs = [job async for job in _first(left, _matching(connection, queue, states, wanted, read=read))]
        if jobs:
            found[queue] = jobs
            left = None if left is None else left - len(jobs)
        if left == 0:
            break
    return found


async def _first(limit: int | None, jobs: AsyncGenerator[Selected]) -> AsyncIterator[Selected]:
    """Yield the first jobs, and read no others."""
    number = 0
    async with aclosing(jobs):
        async for job in jobs:
            yield job
            number += 1
            if number == limit:
                return


async def _matching(
    connection: Connection, queue: str, states: Sequence[JobState], wanted: JobFilter, *, read: bool
) -> AsyncGenerator[Selected]:
    """Yield the jobs of a queue that match, those that have not ended first; `read`: their priorities are needed."""
    ended = {JobState.COMPLETED, JobState.CANCELLED} & set(states)
    # The list of ended jobs does not tell completed from cancelled ones: both are wanted, or the records are read.
    is_unread = not read and wanted.is_empty and len(ended) != 1
    matches = matcher(replace(wanted, states=tuple(states)))
    async for is_ended, jobs in _in_states(connection, queue, states):
        if is_unread:
            for job_id, fields in jobs:
                yield _unread(job_id, fields)
            continue
        async for view in _views(connection, queue, wanted, jobs, is_ended=is_ended):
            if matches(view):
                yield _selected(view)


async def _in_states(
    connection: Connection, queue: str, states: Sequence[JobState]
) -> AsyncIterator[tuple[bool, list[tuple[str, KeyFields]]]]:
    """Yield whether jobs have completed or were cancelled, and those that are in these states now."""
    live = [state for state in states if state in cancellations.CANCELLABLE]
    if live:
        yield False, list((await cancellations.found_jobs(connection, queue, live)).items())
    if JobState.DEAD in states:
        yield False, [(each.id, _fields_of(each)) for each in await deadletters.snapshot(connection, queue)]
    if JobState.COMPLETED in states or JobState.CANCELLED in states:
        yield True, await ended_chunks.snapshot(connection, queue)


def _fields_of(letter: DeadLetter) -> KeyFields:
    return {"state": JobState.DEAD, "ended_at": (letter.died_at or 0) / 1000}


async def _views(
    connection: Connection, queue: str, wanted: JobFilter, jobs: Sequence[tuple[str, KeyFields]], *, is_ended: bool
) -> AsyncIterator[JobView]:
    possible = [each for each in jobs if may_match(wanted, each[0])]
    start, size = 0, FIRST_READ
    while page := possible[start : start + size]:
        start += len(page)
        begun = time.monotonic()
        views, read = await read_views(connection, queue, page, is_ended=is_ended)
        size = next_size(len(page), read, time.monotonic() - begun)
        for view in views:
            yield view


def _unread(job_id: str, fields: KeyFields) -> Selected:
    ended_at = fields.get("ended_at")
    at = None if ended_at is None else round(ended_at * 1000)
    return Selected(job_id, is_dead=fields.get("state") is JobState.DEAD, ended_at=at)


def _selected(view: JobView) -> Selected:
    at = None if view.ended_at is None else round(view.ended_at * 1000)
    return Selected(view.id, is_dead=view.state is JobState.DEAD, ended_at=at, priority=view.priority)


def changed(
    connection: Connection, change: Change, queue: str, jobs: Sequence[Selected], due: str = ""
) -> AsyncIterator[Page]:
    """Change the jobs of one queue in short calls, and yield what each call did.

    Args:
        connection: The connection.
        change: The change.
        queue: The queue.
        jobs: The jobs, each once.
        due: RESCHEDULE: ms from now, or `@` and ms since the epoch.
    """
    match change:
        case Change.CANCEL:
            return cancellations.cancel_jobs(connection, queue, [job.id for job in jobs])
        case Change.RETRY:
            return deadletters.replay(connection, queue, [DeadLetter(job.id, job.ended_at) for job in jobs])
        case Change.PURGE:
            return deadletters.purge(connection, queue, [DeadLetter(job.id, job.ended_at) for job in jobs])
        case Change.RUN_NOW:
            return run_now(connection, queue, [job.id for job in jobs])
        case Change.RESCHEDULE:
            return reschedule(connection, queue, jobs, due)
        case Change.DELETE:
            return _delete(connection, queue, jobs)


async def run_now(
    connection: Connection, queue: str, ids: Sequence[str], now: int | str = SERVER_CLOCK
) -> AsyncIterator[Page]:
    """Make scheduled jobs ready, a page at a time."""
    for start in range(0, len(ids), PAGE):
        page = ids[start : start + PAGE]
        moved = await connection.call("run_now", queue, [now, keys.WAKE_CHANNEL, queue, *page])
        yield Page(len(page), int(moved))


async def reschedule(
    connection: Connection, queue: str, jobs: Sequence[Selected], due: str, now: int | str = SERVER_CLOCK
) -> AsyncIterator[Page]:
    """Let queued and scheduled jobs wait for another time, one in each call: a queued one is searched in its list.

    Raises QueueFullError at a queued job that would exceed the queue's `max_scheduled`.
    """
    for start in range(0, len(jobs), MAX_IN_FLIGHT):
        page = [[now, due, job.id, _letter(job.priority)] for job in jobs[start : start + MAX_IN_FLIGHT]]
        counts = await asyncio.gather(*(connection.call("reschedule", queue, each) for each in page))
        yield Page(len(page), sum(int(moved) for moved, _ in counts))
        if any(int(refused) for _, refused in counts):
            raise QueueFullError(
                f"queue {queue}: it has as many scheduled jobs as maxScheduled allows; raise the limit with jobpools "
                f"queues set {queue} --max-scheduled N"
            )


async def _delete(connection: Connection, queue: str, jobs: Sequence[Selected]) -> AsyncIterator[Page]:
    letters = [DeadLetter(job.id, job.ended_at) for job in jobs if job.is_dead]
    async for page in deadletters.purge(connection, queue, letters):
        yield page
    ended = [[job.id, "" if job.ended_at is None else job.ended_at] for job in jobs if not job.is_dead]
    async for page in _in_flight(connection, "delete", queue, ended):
        yield page


async def _in_flight(
    connection: Connection, script: str, queue: str, calls: Sequence[Sequence[Any]]
) -> AsyncIterator[Page]:
    for start in range(0, len(calls), MAX_IN_FLIGHT):
        page = calls[start : start + MAX_IN_FLIGHT]
        counts = await asyncio.gather(*(connection.call(script, queue, arguments) for arguments in page))
        yield Page(len(page), sum(map(int, counts)))


def due_argument(at: float | None, delay: float) -> str:
    """Return `due` of `changed`: a time in seconds since the epoch, or a delay in seconds."""
    return f"{round(delay * 1000)}" if at is None else f"@{round(at * 1000)}"


def _letter(priority: str) -> str:
    return LETTERS[Priority(priority or Priority.NORMAL)]
