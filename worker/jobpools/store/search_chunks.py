"""Read ids of jobs from a ready list or a sorted set, a chunk at a time, while workers and producers change it.

A position holds the id that was read last. If it is no longer at its index, it is searched: a chunk then begins
after it, so that jobs which were there when the search began are neither skipped nor read twice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from jobpools.core.jobs.job import JobState
from jobpools.store import keys
from jobpools.store.connection import Connection
from jobpools.store.job_view import KeyFields
from jobpools.store.lease_ids import split_lease_id
from jobpools.store.replies import scored

T = TypeVar("T")

SEARCH_SIZE, SEARCH_LIMIT = 1000, 100_000
"""Number of ids in one read that searches the last id, and in all such reads together."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some jobs of one part of a queue."""

    found: list[tuple[str, KeyFields]]
    """Ids and fields, in the order of the search."""
    position_after: Callable[[int], Any]
    """Return the position after the first n jobs of the chunk."""
    is_last: bool
    """Whether no more jobs follow."""


@dataclass(frozen=True, slots=True)
class _Reply(Generic[T]):
    """The elements of one read, of which the first ones may have been examined already."""

    first: int
    """Index of the first element in the list or set."""
    asked: int
    """Number of elements that the read asked for."""
    items: Sequence[T]
    passed: int
    """Number of elements at the beginning that were examined before."""

    def next(self, size: int) -> Sequence[T]:
        """Return the elements to examine, at most `size`."""
        return self.items[self.passed : self.passed + size]

    def after(self, number: int) -> int:
        """Return the index after the first `number` elements to examine."""
        return self.first + self.passed + number

    def is_last(self, size: int) -> bool:
        """Return whether no element follows those that `next` returns."""
        return len(self.items) < self.asked and self.passed + size >= len(self.items)


async def ready_chunk(connection: Connection, key: str, position: Any, size: int) -> Chunk:
    """Return the next ids of a ready list, in the order in which workers claim them.

    Workers take ids from the beginning of the list, so that those that remain move towards it.
    """
    start, last = position or (0, "")
    passed = 1 if position else 0
    reply = await _read_list(connection, key, start - passed, size + passed, passed)
    if position and reply.items[:1] != [last.encode()]:
        reply = await _list_after(connection, key, start, last.encode(), size)
    ids = [each.decode() for each in reply.next(size)]
    found: list[tuple[str, KeyFields]] = [(each, {"state": JobState.QUEUED}) for each in ids]
    return Chunk(found, lambda n: [reply.after(n), ids[n - 1]] if n else position, reply.is_last(size))


async def _list_after(connection: Connection, key: str, start: int, last: bytes, size: int) -> _Reply[bytes]:
    """Return the elements after an id that was before `start`.

    They are in the reply that has this id, as others may leave the list between two commands. If the list does not hold
    it any more, it was claimed, and so were all ids before it: the result is the beginning of the list, or of the part
    that was searched.
    """
    first = max(0, start)
    while True:
        reply = await _read_list(connection, key, first, SEARCH_SIZE + size, 0)
        if last in reply.items[:SEARCH_SIZE]:
            return replace(reply, passed=reply.items.index(last) + 1)
        if first <= max(0, start - SEARCH_LIMIT):
            return reply
        first = max(0, first - SEARCH_SIZE)


async def _read_list(connection: Connection, key: str, first: int, number: int, passed: int) -> _Reply[bytes]:
    return _Reply(first, number, await connection.execute("LRANGE", key, first, first + number - 1), passed)


async def scored_chunk(
    connection: Connection, key: str, position: Any, size: int, *, newest_first: bool = False, start: int = 0
) -> Chunk:
    """Return the next ids of a sorted set, by score; `start`: index of the first one if there is no position."""
    order = ("REV",) if newest_first else ()
    score, last, start = position or (0.0, "", start)
    passed = 1 if position else 0
    reply = await _read_set(connection, key, start - passed, size + passed, order)
    if not position or reply.items[:1] == [(last, score)]:
        reply = replace(reply, passed=passed)
    else:
        reply = await _set_after(connection, key, (last, score), size, order)
    pairs = reply.next(size)
    found = [scored_job(key, element, score) for element, score in pairs]
    return Chunk(
        found, lambda n: [pairs[n - 1][1], pairs[n - 1][0], reply.after(n)] if n else position, reply.is_last(size)
    )


async def _set_after(
    connection: Connection, key: str, last: tuple[str, float], size: int, order: tuple[str, ...]
) -> _Reply[tuple[str, float]]:
    """Return the elements after the last one, which may not be in the set any more.

    The read begins before them, as others may leave the set between the commands.
    """
    name, score = last
    rank = await _rank_after(connection, key, score, name, newest_first=bool(order))
    first = max(0, rank - SEARCH_SIZE)
    reply = await _read_set(connection, key, first, rank - first + size, order)
    wanted = (score, name.encode())
    elements = [(each_score, each.encode()) for each, each_score in reply.items]
    return replace(reply, passed=sum(each >= wanted if order else each <= wanted for each in elements))


async def _read_set(
    connection: Connection, key: str, first: int, number: int, order: tuple[str, ...]
) -> _Reply[tuple[str, float]]:
    return _Reply(first, number, await _read(connection, key, first, number, order), 0)


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
        found = await _read(connection, key, middle, 1, ())
        if not found:
            break
        element = (found[0][1], found[0][0].encode())
        if element < wanted or (element == wanted and not newest_first):
            low = middle + 1
        else:
            high = middle
    return max(0, int(total) - int(low)) if newest_first else int(low)


async def count_dead_since(connection: Connection, queue: str, at: float) -> int:
    """Return the number of dead jobs that died at this time, in seconds since the epoch, or later."""
    return int(await connection.execute("ZCOUNT", keys.of_queue(queue, "dead"), at * 1000, "+inf"))
