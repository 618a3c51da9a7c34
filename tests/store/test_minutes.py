"""The history of a queue: what workers measured and what was counted, by minute, in a bounded amount of memory."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from redis import Redis

from jobpools.core.histogram import BOUNDS, LOWEST
from jobpools.core.jobs.minutes import KEPT, Counts, States
from jobpools.errors import StoreDataError
from jobpools.store import keys
from jobpools.store.connection import Connection
from jobpools.store.minutes import PART, add_measurements, read_minutes
from tests.store.attempts import NOW, claim, failed, settled
from tests.store.conftest import QUEUE, Send
from tests.support.sending import enqueue_jobs

KEY = keys.of_queue(QUEUE, PART)
MINUTE = NOW // 60_000
MEMORY_LIMIT = 300_000
"""Maximum bytes of the history of one queue."""


async def test_counts_come_from_the_totals_whatever_worker_died(store: Connection, job: Send) -> None:
    await enqueue_jobs(store, [job("a"), job("b"), job("c")], NOW)
    await add_measurements(store, QUEUE, now=NOW)
    for number, attempts in ((1, 1), (2, 2)):
        (lease,) = await claim(store, "w.1", number)
        await settled(store, lease, failed(attempts))
    await enqueue_jobs(store, [job("d")], NOW)
    assert await add_measurements(store, QUEUE, now=NOW + 60_000) == MINUTE + 1
    first, second = await read_minutes(store, QUEUE, MINUTE, MINUTE + 1)
    assert (first.counts, first.states) == (Counts(enqueued=3), States(queued=3))
    assert second.counts == Counts(enqueued=1, failed=2, dead=1)
    assert second.states == States(queued=2, scheduled=1, dead=1)


async def test_the_first_record_counts_the_jobs_that_have_not_ended_and_no_others(store: Connection, job: Send) -> None:
    await enqueue_jobs(store, [job("a"), job("b")], NOW)
    (lease,) = await claim(store, "w.1", 1)
    await settled(store, lease, failed(1))
    await add_measurements(store, QUEUE, now=NOW)
    (record,) = await read_minutes(store, QUEUE, MINUTE, MINUTE)
    assert record.counts == Counts(enqueued=1)


async def test_measurements_of_several_workers_in_one_minute_are_added(store: Connection) -> None:
    await add_measurements(store, QUEUE, busy=1.5, slots=10, waiting={3: 1, 5: 2}, running={60: 4}, now=NOW)
    await add_measurements(store, QUEUE, busy=0.5, slots=10, waiting={4: 7}, now=NOW + 10_000)
    (record,) = await read_minutes(store, QUEUE, MINUTE, MINUTE)
    assert (record.busy, record.slots) == (2.0, 20.0)
    assert record.waiting.buckets == {3: 1, 4: 7, 5: 2}
    assert record.running.buckets == {60: 4}


async def test_a_record_replaces_that_of_the_minute_a_day_before(store: Connection, raw: Redis) -> None:
    day = KEPT * 60_000
    await add_measurements(store, QUEUE, slots=1, now=NOW - day)
    await add_measurements(store, QUEUE, slots=2, now=NOW)
    assert raw.hlen(KEY) == 2  # the minute and `last`
    found = await read_minutes(store, QUEUE, MINUTE - 2 * KEPT, MINUTE)
    assert [(each.minute, each.slots) for each in found] == [(MINUTE, 2.0)]


async def test_only_minutes_of_the_asked_range_are_read(store: Connection) -> None:
    for minute in range(6):
        await add_measurements(store, QUEUE, slots=minute, now=NOW + minute * 60_000)
    found = await read_minutes(store, QUEUE, MINUTE + 2, MINUTE + 4)
    assert [each.slots for each in found] == [2.0, 3.0, 4.0]
    assert await read_minutes(store, "other", MINUTE, MINUTE + 4) == []


async def test_the_history_of_a_queue_without_workers_expires(store: Connection, raw: Redis) -> None:
    await add_measurements(store, QUEUE, now=NOW)
    assert 86_400 < raw.ttl(KEY) <= 2 * 86_400  # type: ignore[operator]  # redis-py: it may be awaitable


async def test_a_record_that_cannot_be_read_is_named(store: Connection, raw: Redis) -> None:
    raw.hset(KEY, str(MINUTE % KEPT), b"\x93\x01")
    with pytest.raises(StoreDataError, match=r"jobpools:\{emails\}:minutes: it does not hold records of minutes"):
        await read_minutes(store, QUEUE, MINUTE, MINUTE)


def drawn(draw: random.Random, median: float, spread: float, number: int) -> Counter[int]:
    """Return the buckets of log-normal durations."""
    values = (draw.lognormvariate(0, spread) * median for _ in range(number))
    return Counter(next((i for i, bound in enumerate(BOUNDS) if bound >= value), len(BOUNDS)) for value in values)


async def memory(store: Connection, raw: Redis, minutes: Sequence[tuple[Counter[int], Counter[int]]]) -> int:
    """Return the bytes of a history of a day that three workers wrote, with busy queues in view."""
    for minute in range(KEPT):
        waiting, running = minutes[minute % len(minutes)]
        raw.hset(
            keys.of_queue(QUEUE, "totals"),
            mapping={"enqueued": 70_000 * minute, "completed": 69_000 * minute, "failed": 300 * minute, "dead": minute},
        )
        now = NOW + minute * 60_000
        for _ in range(3):
            await add_measurements(store, QUEUE, busy=281.3, slots=600, waiting=waiting, running=running, now=now)
    return int(raw.memory_usage(KEY, samples=0) or 0)  # type: ignore[arg-type]  # redis-py: it may be awaitable


async def test_a_day_of_real_looking_minutes_takes_less_than_300_kb(store: Connection, raw: Redis) -> None:
    draw = random.Random(7)  # noqa: S311  # numbers of a test
    day = [
        (drawn(draw, 0.05 * (1 + minute % 5), 1.2, 2000), drawn(draw, 0.3, 0.8, 2000)) for minute in range(0, KEPT, 30)
    ]
    used = await memory(store, raw, day)
    print(f"history of a queue: {used} bytes for {KEPT} minutes")  # noqa: T201  # shown with -s, and if it fails
    assert used < MEMORY_LIMIT
    found = await read_minutes(store, QUEUE, MINUTE, MINUTE + KEPT - 1)
    assert len(found) == KEPT
    assert min(each.running.scale for each in found) >= 1  # errors of at most 19 %
    assert all(each.running.count == each.waiting.count == 6000 for each in found)


async def test_durations_of_every_length_lower_the_resolution_and_take_no_more_memory(
    store: Connection, raw: Redis
) -> None:
    everywhere = Counter(dict.fromkeys(range(len(BOUNDS) + 1), 50_000))
    assert await memory(store, raw, [(everywhere, everywhere)]) < MEMORY_LIMIT
    (record, *_) = await read_minutes(store, QUEUE, MINUTE, MINUTE)
    assert record.running.count == 3 * everywhere.total()
    assert record.running.quantile(0.5) == pytest.approx(BOUNDS[len(BOUNDS) // 2], rel=record.running.error + 0.1)
    assert record.running.quantile(0.001) == LOWEST or record.running.scale < 0
