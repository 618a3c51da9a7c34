"""Read completed and cancelled jobs, newest first, from the lists of ended jobs.

There is one list for each class of TTLs, each in the order in which jobs ended. Jobs are added at the end of a list and
removed at its beginning, so that a position counts from the end and holds the element that was read last.
"""

from collections.abc import Sequence
from typing import Any

from jobpools.store import keys
from jobpools.store.connection import Connection
from jobpools.store.job_view import KeyFields
from jobpools.store.records import decode_ended
from jobpools.store.replies import pairs
from jobpools.store.search_chunks import Chunk

SAME_TIME = 2000
"""Maximum number of jobs with one time of end among which the last one is searched: a step settles 1000 at most."""

SNAPSHOT_CHUNK = 1000
"""Number of jobs in one read of a snapshot."""

Position = dict[str, list[Any]]
"""By class: time in ms and id of the element that was read last, and how many elements are as new or newer."""


async def ended_chunk(
    connection: Connection, queue: str, position: Position | None, size: int, before: float | None
) -> Chunk:
    """Return the next ended jobs, newest first; `before`: only jobs that ended before this time, seconds."""
    known = await connection.execute("HGETALL", keys.of_queue(queue, "done"))
    classes = sorted((kind.decode() for kind, _ in pairs(known)), key=int)
    read: list[tuple[int, str, str, int]] = []
    complete = True
    for kind in classes:
        last = (position or {}).get(kind)
        offset, items, is_last = await _items(connection, keys.ended(queue, kind), last, size, before)
        complete = complete and is_last
        for index, item in enumerate(reversed(items)):
            at, _, job_id = decode_ended(item)
            read.append((at, kind, job_id, offset + index + 1))
    # Each list gave its newest jobs, so the newest of all of them are right up to `size`.
    read.sort(key=lambda each: -each[0])  # a stable sort: the order within a list is kept
    newest = read[:size]

    def position_after(number: int) -> Position:
        reached = dict(position or {})
        for at, kind, job_id, offset in newest[:number]:
            reached[kind] = [at, job_id, offset]
        return reached

    found = [(job_id, {"ended_at": at / 1000}) for at, _, job_id, _ in newest]
    return Chunk(found, position_after, complete and len(read) <= size)


async def _items(
    connection: Connection, key: str, last: list[Any] | None, size: int, before: float | None
) -> tuple[int, list[bytes], bool]:
    """Return how many elements are newer, up to `size` elements after the last one, and whether none is older.

    The elements are in the order of the list: the oldest first.
    """
    if last is None:
        offset = 0 if before is None else await _count_newer(connection, key, before * 1000)
        items: list[bytes] = await connection.execute("LRANGE", key, -offset - size, -offset - 1)
        return offset, items, len(items) < size
    at, job_id, offset = last
    end, asked = offset, size + 1
    items = await connection.execute("LRANGE", key, -offset - size, -offset)
    if not items or decode_ended(items[-1])[::2] != (at, job_id):
        end, asked = max(1, await _offset_of(connection, key, at, job_id)), size + SAME_TIME
        items = await connection.execute("LRANGE", key, -end - asked + 1, -end)
    # If more jobs have ended between the commands, the end of this reply was read before.
    older = _number_older(items, at, job_id)
    return end - 1 + len(items) - older, items[max(0, older - size) : older], len(items) < asked and older <= size


def _number_older(items: Sequence[bytes], at: int, job_id: str) -> int:
    """Return how many elements are before the one of this job; if it was removed, how many are not newer than it."""
    decoded = [decode_ended(item) for item in items]
    same = (index for index, (ended_at, _, each) in enumerate(decoded) if (ended_at, each) == (at, job_id))
    return next(same, sum(ended_at <= at for ended_at, _, _ in decoded))


async def _count_newer(connection: Connection, key: str, at: float) -> int:
    """Return the number of elements of a list whose jobs ended at this time, in ms, or later."""
    low, high = 0, int(await connection.execute("LLEN", key))
    total = high
    while low < high:
        middle = (low + high) // 2
        item = await connection.execute("LINDEX", key, middle)
        if item is not None and decode_ended(item)[0] < at:
            low = middle + 1
        else:
            high = middle
    return total - low


async def _offset_of(connection: Connection, key: str, at: int, job_id: str) -> int:
    """Return how many elements are as new as the one of this job, or newer; if it was removed, only the newer ones."""
    newer = await _count_newer(connection, key, at + 1)
    items = await connection.execute("LRANGE", key, -newer - SAME_TIME, -newer - 1)
    for index, item in enumerate(reversed(items)):
        found, _, found_id = decode_ended(item)
        if found != at:
            break
        if found_id == job_id:
            return newer + index + 1
    return newer


async def snapshot(connection: Connection, queue: str) -> list[tuple[str, KeyFields]]:
    """Return the completed and cancelled jobs, the earliest end first, of which some may have ended meanwhile."""
    found: list[tuple[str, KeyFields]] = []
    position: Position | None = None
    while True:
        chunk = await ended_chunk(connection, queue, position, SNAPSHOT_CHUNK, None)
        found += chunk.found
        if chunk.is_last:
            return list(reversed(found))
        position = chunk.position_after(len(chunk.found))
