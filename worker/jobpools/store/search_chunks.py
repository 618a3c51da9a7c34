"""Read ids of jobs from a ready list or a sorted set, a chunk at a time, while workers and producers change it.

A position holds the id that was read last. If it is not in its place any more, it is searched: a chunk then begins
after it, so that jobs which were there when the search began are neither skipped nor read twice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jobpools.core.jobs.job import JobState
from jobpools.store import keys
from jobpools.store.connection import Connection
from jobpools.store.job_view import KeyFields
from jobpools.store.lease_ids import split_lease_id
from jobpools.store.replies import scored

SEARCH_SIZE, SEARCH_LIMIT = 1000, 100_000
"""Ids in one read of the search for the last id, and in all of them."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some jobs of one part of a queue."""

    found: list[tuple[str, KeyFields]]
    """Ids and fields, in the order of the search."""
    position_after: Callable[[int], Any]
    """Return the position after the first n jobs of the chunk."""
    is_last: bool
    """No more jobs follow."""


async def ready_chunk(connection: Connection, key: str, position: Any, size: int) -> Chunk:
    """Return the next ids of a ready list, in the order in which workers claim them.

    Workers take ids from the beginning of the list, so that those that remain move towards it.
    """
    start, last = position or (0, "")
    ids = [each.decode() for each in await connection.execute("LRANGE", key, max(0, start - 1), start + size - 1)]
    if last and (not ids or ids[0] != last):
        start = await _index_after(connection, key, start, last)
        ids = [each.decode() for each in await connection.execute("LRANGE", key, start, start + size - 1)]
    elif last:
        ids = ids[1:]
    found: list[tuple[str, KeyFields]] = [(each, {"state": JobState.QUEUED}) for each in ids]
    return Chunk(found, lambda n: [start + n, ids[n - 1]] if n else position, len(ids) < size)


async def _index_after(connection: Connection, key: str, start: int, last: str) -> int:
    """Return the index after an id that was before `start`.

    If the list does not hold it any more, it was claimed, and so were all ids before it: the result is the beginning
    of the list, or of the part that was searched.
    """
    begin = start
    for begin in range(start, max(-SEARCH_SIZE, start - SEARCH_LIMIT), -SEARCH_SIZE):
        first = max(0, begin)
        page = await connection.execute("LRANGE", key, first, begin + SEARCH_SIZE - 1)
        if (wanted := last.encode()) in page:
            return first + int(page.index(wanted)) + 1
    return max(0, begin)


async def scored_chunk(
    connection: Connection, key: str, position: Any, size: int, *, newest_first: bool = False, start: int = 0
) -> Chunk:
    """Return the next ids of a sorted set, by score; `start`: index of the first one if there is no position."""
    order = ("REV",) if newest_first else ()
    if position:
        score, last, start = position
        before = await _read(connection, key, start - 1, 1, order)
        if before != [(last, score)]:
            start = await _rank_after(connection, key, score, last, newest_first=newest_first)
    pairs = await _read(connection, key, start, size, order)
    found = [scored_job(key, element, score) for element, score in pairs]
    return Chunk(
        found,
        lambda n: [pairs[n - 1][1], pairs[n - 1][0], start + n] if n else position,
        len(pairs) < size,
    )


async def _read(
    connection: Connection, key: str, start: int, number: int, order: tuple[str, ...]
) -> list[tuple[str, float]]:
    return scored(await connection.execute("ZRANGE", key, start, start + number - 1, *order, "WITHSCORES"))


def scored_job(key: str, element: str, score: float) -> tuple[str, KeyFields]:
    """Return id and fields of the job of one element of a sorted set."""
    part = key.rpartition("}:")[2]
    if part == "leases":
        job_id, worker = split_lease_id(element)
        return job_id, {"state": JobState.RUNNING, "worker": worker, "lease_until": score / 1000}
    if part == "dead":
        return element, {"state": JobState.DEAD, "ended_at": score / 1000}
    return element, {"state": JobState.SCHEDULED, "due_at": score / 1000}


async def _rank_after(connection: Connection, key: str, score: float, last: str, *, newest_first: bool) -> int:
    """Return the index of the first element after (score, last), which may not be in the set any more."""
    wanted = (score, last.encode())
    total, low, high = await connection.gather(
        [("ZCARD", key), ("ZCOUNT", key, "-inf", f"({score!r}"), ("ZCOUNT", key, "-inf", repr(score))]
    )
    while low < high:  # elements of one score are in the order of their bytes
        middle = (low + high) // 2
        there = await _read(connection, key, middle, 1, ())
        if not there:
            break
        element = (there[0][1], there[0][0].encode())
        if element < wanted or (element == wanted and not newest_first):
            low = middle + 1
        else:
            high = middle
    return max(0, int(total) - int(low)) if newest_first else int(low)


async def newer_than(connection: Connection, queue: str, before: float) -> int:
    """Return the number of dead jobs that died at this time, in seconds since the epoch, or later."""
    return int(await connection.execute("ZCOUNT", keys.of_queue(queue, "dead"), before * 1000, "+inf"))
