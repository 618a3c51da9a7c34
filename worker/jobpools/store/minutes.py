"""The history of a queue: a hash of 1440 records, one for each minute of the last 24 hours; `measure.lua` writes it."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from jobpools.core.histogram import SCALE, Histogram
from jobpools.core.jobs.minutes import KEPT, Counts, Minute, States
from jobpools.errors import StoreDataError
from jobpools.store import keys
from jobpools.store.connection import Connection
from jobpools.store.script_arguments import SERVER_CLOCK

PART = "minutes"


async def add_measurements(  # noqa: PLR0913  # the arguments of the script
    connection: Connection,
    queue: str,
    *,
    busy: float = 0.0,
    slots: float = 0.0,
    waiting: Mapping[int, int] | None = None,
    running: Mapping[int, int] | None = None,
    now: int | str = SERVER_CLOCK,
) -> int:
    """Add what one worker measured since its last call to the current minute.

    Args:
        connection: The connection to use.
        queue: The queue.
        busy: Seconds for which slots ran jobs of this queue.
        slots: Seconds for which slots could have run them.
        waiting: Number of waits by bucket, at SCALE.
        running: Number of attempts by bucket of their duration, at SCALE.
        now: The current time in ms; empty for the server's clock.

    Returns:
        The minute, in minutes since the epoch.

    Raises:
        StoreError: Redis refused it or did not reply; it may have been added.
    """
    arguments = [now, round(busy * 1000), round(slots * 1000), _packed(waiting or {}), _packed(running or {})]
    return int(await connection.call("measure", queue, arguments))


async def read_minutes(connection: Connection, queue: str, first: int, last: int) -> list[Minute]:
    """Return the records of the minutes from `first` to `last`, oldest first; a minute without a record is left out.

    Raises:
        StoreError: Redis did not reply, or a record cannot be read.
    """
    wanted = range(max(first, last - KEPT + 1), last + 1)
    key = keys.of_queue(queue, PART)
    raw = await connection.execute("HMGET", key, *(minute % KEPT for minute in wanted))
    found = [_decoded(key, value) for value in raw if value is not None]
    return sorted((each for each in found if each.minute in wanted), key=lambda each: each.minute)


def _packed(buckets: Mapping[int, int]) -> bytes:
    first = min(buckets, default=0)
    counts = [buckets.get(index, 0) for index in range(first, max(buckets, default=-1) + 1)]
    return msgspec.msgpack.encode([SCALE, first, counts])


def _decoded(key: str, value: bytes) -> Minute:
    try:
        minute, counts, states, busy, slots, waiting, running = cast("list[Any]", msgspec.msgpack.decode(value))
        return Minute(
            minute,
            Counts(*counts),
            States(*states),
            busy / 1000,
            slots / 1000,
            _histogram(waiting),
            _histogram(running),
        )
    except (ValueError, TypeError) as error:
        raise StoreDataError(
            f"{key}: it does not hold records of minutes; delete it, and workers begin anew"
        ) from error


def _histogram(parts: Sequence[Any]) -> Histogram:
    scale, first, counts = parts
    return Histogram(scale, {first + i: count for i, count in enumerate(counts) if count})
