"""The port Queues: what the control loop relies on in every implementation."""

from collections.abc import AsyncIterator

import pytest

from jobpools.core.pools.facts import EndpointFacts, QueueFacts
from jobpools.core.text.names import QueueName
from jobpools.errors import StoreError
from tests.contract.stages import POOL, FakeStage, Stage, StoreStage

A, B, OTHER = "web-1.a", "web-1.b", "web-10.a"


@pytest.fixture(params=["store", "fake"])
async def stage(request: pytest.FixtureRequest, valkey_url: str) -> AsyncIterator[Stage]:
    made: Stage = StoreStage(valkey_url) if request.param == "store" else FakeStage()
    yield made
    await made.close()


async def observe(stage: Stage) -> EndpointFacts:
    return await stage.queues.observe([POOL])


async def queue(stage: Stage, name: str = "emails") -> QueueFacts:
    return (await observe(stage)).queues[QueueName(name)]


async def test_an_unused_queue_is_empty(stage: Stage) -> None:
    seen = await observe(stage)
    assert {name: (each.demand, each.oldest_seconds) for name, each in seen.queues.items()} == {
        "emails": (0, None),
        "reports": (0, None),
    }
    assert seen.heartbeats == {POOL.meta.key: ()}
    assert (await stage.queues.observe([])).queues == {}


async def test_jobs_are_counted_where_they_are(stage: Stage) -> None:
    for _ in range(3):
        await stage.enqueue("emails")
    await stage.enqueue("emails", delay=3600)
    await stage.enqueue("reports")
    assert await stage.claim(A, "emails") == 1
    seen = await queue(stage)
    assert (seen.queued, seen.due, seen.scheduled, seen.in_flight, seen.demand) == (2, 0, 1, 1, 3)
    assert seen.due_in is not None
    assert seen.oldest_seconds is not None
    assert (await queue(stage, "reports")).demand == 1
    await stage.jobs_fall_due()
    seen = await queue(stage)
    assert (seen.due, seen.scheduled, seen.demand) == (1, 0, 4)


async def test_workers_with_a_heartbeat_are_observed(stage: Stage) -> None:
    await stage.enqueue("emails")
    await stage.claim(A, "emails")
    await stage.report(A, busy=1)
    await stage.report(OTHER, busy=0)
    first, second = sorted((await observe(stage)).heartbeats[POOL.meta.key], key=lambda each: each.worker)
    assert (first.worker, first.host, first.busy, first.slots, first.idle_since, first.draining) == (
        A, "web-1", 1, 2, None, False,
    )  # fmt: skip
    assert (second.worker, second.busy) == (OTHER, 0)
    assert second.idle_since is not None


async def test_drain_locks_only_workers_without_a_lease(stage: Stage) -> None:
    for _ in range(2):
        await stage.enqueue("emails")
    assert await stage.claim(A, "emails") == 1
    for worker, busy in ((A, 1), (B, 0), (OTHER, 0)):
        await stage.report(worker, busy)
    assert await stage.queues.drain(POOL, [A, B]) == (B,)
    assert await stage.claim(B, "emails") == 0, "a locked worker does not claim"
    assert await stage.claim(B, "reports") == 0
    draining = {each.worker: each.draining for each in (await observe(stage)).heartbeats[POOL.meta.key]}
    assert draining == {A: False, B: True, OTHER: False}
    assert await stage.queues.drain(POOL, [B]) == (B,), "the lock can be taken again"
    await stage.queues.undrain(POOL, [B])
    assert await stage.claim(B, "emails") == 1
    assert await stage.queues.drain(POOL, []) == ()


async def test_a_worker_with_a_lease_in_any_queue_is_not_drained(stage: Stage) -> None:
    await stage.enqueue("reports")
    await stage.claim(A, "reports")
    await stage.enqueue("emails")
    assert await stage.queues.drain(POOL, [A]) == ()
    assert await stage.claim(A, "emails") == 1, "no queue is locked"


async def test_pause_locks_busy_workers_too(stage: Stage) -> None:
    for _ in range(2):
        await stage.enqueue("emails")
    await stage.claim(A, "emails")
    await stage.queues.pause(POOL, [A])
    assert await stage.claim(A, "emails") == 0
    assert (await queue(stage)).in_flight == 1, "the running job continues"
    await stage.queues.undrain(POOL, [A])
    assert await stage.claim(A, "emails") == 1


async def test_jobs_of_released_workers_run_again(stage: Stage) -> None:
    for _ in range(3):
        await stage.enqueue("emails")
    await stage.enqueue("reports")
    for worker, name in ((A, "emails"), (B, "reports"), (OTHER, "emails")):
        assert await stage.claim(worker, name) == 1
    assert await stage.queues.release(POOL, ["web-1"]) == 2, "the leases of both workers of that host only"
    seen = await queue(stage)
    assert (seen.in_flight, seen.queued + seen.due, seen.demand) == (1, 2, 3)
    assert (await queue(stage, "reports")).in_flight == 0
    assert await stage.queues.release(POOL, ["web-1"]) == 0
    await stage.queues.maintain(POOL)
    assert [await stage.claim(OTHER, "emails") for _ in range(3)] == [1, 1, 0]


async def test_maintenance_promotes_and_rescues(stage: Stage) -> None:
    await stage.enqueue("emails", delay=60)
    await stage.enqueue("emails")
    assert await stage.queues.maintain(POOL) == 0
    assert await stage.claim(A, "emails") == 1
    await stage.jobs_fall_due()
    await stage.leases_expire()
    assert await stage.queues.maintain(POOL) == 2
    await stage.queues.maintain(POOL)
    seen = await queue(stage)
    assert (seen.queued, seen.due, seen.scheduled, seen.in_flight) == (2, 0, 0, 0)


async def test_an_unreachable_server_is_an_error_and_never_zero(stage: Stage) -> None:
    await stage.enqueue("emails")
    await stage.vanish()
    for verb in (
        stage.queues.observe([POOL]),
        stage.queues.drain(POOL, [A]),
        stage.queues.undrain(POOL, [A]),
        stage.queues.pause(POOL, [A]),
        stage.queues.release(POOL, ["web-1"]),
        stage.queues.maintain(POOL),
    ):
        with pytest.raises(StoreError):
            await verb
