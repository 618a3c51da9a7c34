"""Facts about queues: counts, ages and warnings, with the time as an argument."""

import pytest
from redis import Redis

from jobpools.core.pools.facts import QueueFacts
from jobpools.store import keys
from jobpools.store.connection import Connection
from jobpools.store.endpoint_facts import read_endpoint
from jobpools.store.job_ids import new_id
from tests.store.attempts import AT, NOW, claim, failed, settled
from tests.store.conftest import QUEUE, Send
from tests.support.sending import enqueue_jobs

POOL = "default/shop"


async def facts(store: Connection, now: int = NOW, queue: str = QUEUE) -> QueueFacts:
    return next(iter((await read_endpoint(store, {POOL: [queue]}, now)).queues.values()))


async def test_an_unknown_queue_is_empty(store: Connection) -> None:
    assert await facts(store) == QueueFacts(0, 0, 0, 0, 0, None)


async def test_jobs_are_counted_by_state(store: Connection, job: Send) -> None:
    jobs = [job(f"now{n}", priority) for n, priority in enumerate(["high", "normal", "low", "low"])]
    jobs += [job("due", due=AT - 1), job("later", due=AT + 60), job("much-later", "high", due=AT + 600)]
    await enqueue_jobs(store, jobs, NOW)
    seen = await facts(store)
    assert (seen.queued, seen.due, seen.scheduled, seen.in_flight, seen.dead) == (4, 1, 2, 0, 0)
    assert seen.demand == 5
    assert seen.due_in == -1
    lease_id = (await claim(store, "w.1", 1))[0]
    await settled(store, lease_id, failed(attempts=1))
    assert len(await claim(store, "w.1", 2)) == 1
    seen = await facts(store)
    assert (seen.queued, seen.due, seen.scheduled, seen.in_flight, seen.dead) == (3, 0, 2, 1, 1)
    assert (seen.completed_total, seen.failed_total, seen.crashed_total, seen.dead_total) == (0, 1, 0, 1)
    assert seen.due_in == 60
    assert (await facts(store, NOW + 61_000)).due == 1, "time alone makes it due"


async def test_the_oldest_age_is_counted_since_the_job_was_ready(store: Connection, job: Send) -> None:
    await enqueue_jobs(store, [job(new_id(AT, bytes(10)), enqueued=None)], NOW)
    assert (await facts(store, NOW + 300_000)).oldest_seconds == 300, "its id says when"
    await claim(store, "w.1", 1)
    assert (await facts(store)).oldest_seconds is None, "what runs does not wait"
    await enqueue_jobs(store, [job("own", "low")], NOW)
    assert (await facts(store, NOW + 7000)).oldest_seconds == 7, "an id of the caller's own tells no time"
    await enqueue_jobs(store, [job(new_id(AT - 900, bytes(10)), due=AT + 10, enqueued=None)], NOW)
    assert (await facts(store, NOW + 20_000)).oldest_seconds == 20, "what is only due is not ready yet"
    await claim(store, "w.1", 2, claim=0, now=NOW + 20_000)
    assert (await facts(store, NOW + 25_000)).oldest_seconds == 25, (
        "and then it waits since its time, not since its enqueue"
    )
    await claim(store, "w.1", 3, claim=1, now=NOW + 25_000)
    assert (await facts(store, NOW + 25_000)).oldest_seconds == 25, "of several priorities the longest counts"


@pytest.mark.parametrize("wrong", [-86_400, -120, -2, 2, 120, 86_400])
async def test_a_wrong_clock_of_a_producer_does_not_change_the_age(
    store: Connection, raw: Redis, job: Send, wrong: int
) -> None:
    """The oldest age drives scaling and alerts."""
    ids = [new_id(AT + wrong, bytes([number] * 10)) for number in range(3)]
    await enqueue_jobs(store, [job(each, enqueued=None) for each in ids], NOW)
    assert (await facts(store, NOW + 7000)).oldest_seconds == 7
    await claim(store, "w.1", 1, claim=3)
    assert raw.hlen(keys.of_queue(QUEUE, "since")) == 0, "nothing of it is left"


async def test_one_read_has_the_queues_of_all_pools(store: Connection, job: Send) -> None:
    await enqueue_jobs(store, [job("a", queue="one"), job("b", queue="two"), job("c", queue="two")], NOW)
    seen = await read_endpoint(store, {"x/first": ["one", "two"], "x/second": ["two", "three"]}, NOW)
    assert {name: each.queued for name, each in seen.queues.items()} == {"one": 1, "two": 2, "three": 0}
    assert await read_endpoint(store, {}) == await read_endpoint(store, {}, NOW)
