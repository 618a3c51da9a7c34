"""Search the jobs of all queues, a page at a time: each page examines a limited number of jobs.

The parts of a queue are read in the order in which jobs move on (scheduled, queued, running, dead, ended), so that a
job which moves meanwhile is found where it is now. Every read is short for the server, and no index is needed.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jobpools.core.jobs.job import JobState
from jobpools.core.jobs.job_filter import JobFilter
from jobpools.errors import ConfigurationError
from jobpools.store import keys
from jobpools.store.connection import Connection
from jobpools.store.ended_chunks import ended_chunk
from jobpools.store.find_job import resolve_queues
from jobpools.store.job_matching import matcher, may_match
from jobpools.store.job_view import JobView, KeyFields
from jobpools.store.read_size import FIRST_READ, next_size
from jobpools.store.read_views import read_views
from jobpools.store.search_chunks import Chunk, count_dead_since, ready_chunk, scored_chunk
from jobpools.store.search_cursor import SearchCursor, decode_cursor
from jobpools.store.server import server_time

READ_LIMIT = 10_000
"""Maximum number of jobs that one page reads."""
EXAMINE_LIMIT = 100_000
"""Maximum number of jobs that one page examines. Those that do not match by their id alone are not read."""
TIME_LIMIT = 0.15
"""Seconds after which a page reads no further jobs."""
MIN_TIME = 0.03
"""Seconds for which a page may read jobs even if it took long to find the queues."""
ENDED = "done"
"""The part of a queue that has its completed and cancelled jobs."""
_PARTS: Sequence[tuple[str, tuple[JobState, ...]]] = (
    *((part, (JobState.SCHEDULED,)) for part in keys.SCHEDULED),
    *((part, (JobState.QUEUED,)) for part in keys.READY),
    ("leases", (JobState.RUNNING,)),
    ("dead", (JobState.DEAD,)),
    (ENDED, (JobState.COMPLETED, JobState.CANCELLED)),
)
"""The parts of a queue in the order of a search, and the states of the jobs in them."""
_COUNTS = {"zset": "ZCARD", "list": "LLEN"}
"""By kind of key: the command that counts its elements."""


@dataclass(frozen=True, slots=True)
class SearchPage:
    """One page of a search."""

    views: list[JobView]
    cursor: str | None
    """Where the next page continues; None: the search is complete."""
    examined: int
    """Number of jobs that this page and those before it have examined."""
    total: int
    """Approximate number of jobs that the search examines in all."""


async def search(
    connection: Connection,
    chosen: JobFilter,
    *,
    limit: int,
    cursor: str | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> SearchPage:
    """Return the next jobs that match a filter, at most `limit`.

    Raises:
        ConfigurationError: The cursor is damaged, or belongs to another filter.
        JobNotFoundError: The filter names a queue that has never had a job.
        StoreError: Redis refused a command or is unreachable.
    """
    begun = clock()
    start = await _start(connection, chosen, cursor)
    parts = [
        (queue, part)
        for queue in await resolve_queues(connection, chosen.queue)
        for part, states in _PARTS
        if set(states) & set(chosen.searched_states())
    ]
    parts, total = await _with_jobs(connection, parts)
    order = [part for part, _ in _PARTS]
    ahead = [each for each in parts if (each[0], order.index(each[1])) >= (start.queue, order.index(start.part))]
    deadline = max(begun + TIME_LIMIT, clock() + MIN_TIME)
    page = _Page(connection, chosen.at(start.began), limit, start.examined, deadline, clock)
    for queue, part in ahead:
        position = start.position if (queue, part) == (start.queue, start.part) else None
        while position is not _END:
            if page.is_done:
                stopped = replace(start, examined=page.examined, queue=queue, part=part, position=position)
                return SearchPage(page.views, stopped.encode(), page.examined, max(total, page.examined))
            position = await page.add(queue, part, position)
    return SearchPage(page.views, None, page.examined, max(total, page.examined))


async def _start(connection: Connection, chosen: JobFilter, cursor: str | None) -> SearchCursor:
    if cursor is None:
        return SearchCursor(chosen.digest(), await server_time(connection), 0, "", _PARTS[0][0], None)
    try:
        found = decode_cursor(cursor, chosen.digest())
    except ValueError as error:
        raise ConfigurationError(f"cursor: {error}") from error
    if found.part not in dict(_PARTS):
        raise ConfigurationError("cursor: it was made by another version; begin again without it")
    return found


_END: Any = object()
"""The position after the last job of a part."""


class _Page:
    """The jobs of one page, and how many were examined."""

    def __init__(  # what one page reads, and the limits at which it ends
        self,
        connection: Connection,
        chosen: JobFilter,
        limit: int,
        examined: int,
        deadline: float,
        clock: Callable[[], float],
    ) -> None:
        self.views: list[JobView] = []
        self.examined = examined
        self._connection = connection
        self._chosen = chosen
        self._matches = matcher(chosen)
        self._limit = limit
        self._first, self._last = examined, examined + EXAMINE_LIMIT
        self._deadline, self._clock = deadline, clock
        self._read = 0
        self._ids_size = self._views_size = FIRST_READ

    @property
    def is_done(self) -> bool:
        """Return whether the page has its jobs, has examined as many as it may, or has taken its time."""
        is_full = len(self.views) >= self._limit or self._read >= READ_LIMIT or self.examined >= self._last
        return is_full or (self.examined > self._first and self._clock() > self._deadline)

    async def add(self, queue: str, part: str, position: Any) -> Any:
        """Examine the next jobs of a part until the page is done, and return the position after them."""
        size, begun = min(self._ids_size, self._last - self.examined), self._clock()
        chunk = await read_chunk(self._connection, self._chosen, queue, part, position, size)
        self._ids_size = next_size(size, 0, self._clock() - begun)
        before = self.examined
        possible = [n for n, (job_id, _) in enumerate(chunk.found) if may_match(self._chosen, job_id)]
        while possible:
            read, possible = _split(possible, min(self._views_size, READ_LIMIT - self._read))
            examined = await self._examine(queue, part, [chunk.found[n] for n in read])
            self.examined = before + read[examined - 1] + 1
            if self.is_done:
                break
        else:
            self.examined = before + len(chunk.found)
        number = self.examined - before
        return _END if chunk.is_last and number == len(chunk.found) else chunk.position_after(number)

    async def _examine(self, queue: str, part: str, found: list[tuple[str, KeyFields]]) -> int:
        """Add the jobs that match; return how many jobs were examined, which are fewer if the page is full."""
        begun = self._clock()
        views, read = await read_views(self._connection, queue, found, is_ended=part == ENDED)
        matching = [view for view in views if self._matches(view)]
        self._read += len(found)
        self._views_size = next_size(len(found), read, self._clock() - begun)
        room = self._limit - len(self.views)
        self.views += matching[:room]
        if len(matching) < room:
            return len(found)
        return 1 + [job_id for job_id, _ in found].index(matching[room - 1].id)


def _split(items: list[int], number: int) -> tuple[list[int], list[int]]:
    return items[:number], items[number:]


async def read_chunk(
    connection: Connection, chosen: JobFilter, queue: str, part: str, position: Any, size: int
) -> Chunk:
    """Return the next jobs of a part of a queue; `chosen` has absolute times, by which it is narrowed if it can be."""
    after, before = (value if isinstance(value, float) else None for value in (chosen.ended_after, chosen.ended_before))
    key = keys.of_queue(queue, part)
    if part == ENDED:
        return _until(await ended_chunk(connection, queue, position, size, before), after)
    if part in keys.READY:
        return await ready_chunk(connection, key, position, size)
    if part == "dead":
        start = 0 if position or before is None else await count_dead_since(connection, queue, before)
        return _until(await scored_chunk(connection, key, position, size, newest_first=True, start=start), after)
    return await scored_chunk(connection, key, position, size)


def _until(chunk: Chunk, after: float | None) -> Chunk:
    """Return the jobs of a chunk, newest first, that ended at this time or later."""
    if after is None:
        return chunk
    kept = [each for each in chunk.found if each[1]["ended_at"] >= after]
    return replace(chunk, found=kept, is_last=chunk.is_last or len(kept) < len(chunk.found))


async def _with_jobs(connection: Connection, parts: Sequence[tuple[str, str]]) -> tuple[list[tuple[str, str]], int]:
    """Return the parts of each queue from its first one that has a job, and the number of all jobs.

    A job moves on to parts that come later, so that one that is empty now may have it when it is read.
    """
    names: dict[str, list[str]] = {}
    for queue, part in parts:
        names.setdefault(queue, []).append(_key(queue, part))
    existing = await connection.gather([("EXISTS", *each) for each in names.values()]) if names else ()
    found = {queue for queue, number in zip(names, existing, strict=True) if number}  # most queues are empty
    parts = [each for each in parts if each[0] in found]
    commands = [(_COUNTS.get(keys.kind(part), "HLEN"), _key(queue, part)) for queue, part in parts]
    counts = await connection.gather(commands) if commands else []
    first = {queue: part for (queue, part), count in reversed(list(zip(parts, counts, strict=True))) if count}
    order = [part for part, _ in _PARTS]
    searched = [
        (queue, part) for queue, part in parts if queue in first and order.index(part) >= order.index(first[queue])
    ]
    return searched, sum(counts)


def _key(queue: str, part: str) -> str:
    return keys.of_queue(queue, "results" if part == ENDED else part)
