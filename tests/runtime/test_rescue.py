"""Workers and the operator settle the same expired leases in the same way."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from jobpools import App
from jobpools.core.jobs.job import JobState, Outcome, OutcomeKind
from jobpools.core.objects import Meta
from jobpools.core.pools.specs import Pool, PoolSpec
from jobpools.errors import StoreUnavailableError
from jobpools.rescue import Rescuer, vanished
from jobpools.store import keys
from jobpools.store.connection import Connection
from jobpools.store.job_view import JobView
from jobpools.store.jobs import read_job
from jobpools.store.rescue import RESCUE_LIMIT, held_by
from tests.runtime.conftest import working
from tests.support.queues import operator_queues
from tests.support.waiting import until

QUEUE = "default"
EXPIRED, NOT_EXPIRED = 1, 9_000_000_000_000
"""Expiry times of leases, in milliseconds since the epoch."""
Rescue = Callable[[], Awaitable[None]]
"""Rescues the expired leases of web-1, as a worker or as the operator does."""


def pool(**job: Any) -> Pool:
    return Pool(meta=Meta(name="shop"), spec=PoolSpec.model_validate({"app": "s:a", "queues": [QUEUE], "job": job}))


@pytest.fixture(params=["worker", "operator"])
async def rescue(request: pytest.FixtureRequest, app: App, store: Connection) -> AsyncIterator[Rescue]:
    """The rescue of a worker or the operator, with a pool that allows two crashes."""

    @app.job
    async def known() -> None: ...

    if request.param == "operator":
        queues = operator_queues(store)

        async def maintain() -> None:
            await queues.maintain(pool(maxCrashes=2))

        yield maintain
        return
    settings = pool(maxCrashes=2).spec.job
    async with working(app, lease=60, job=settings) as worker:
        await until(lambda: worker.metrics.steps > 0)
        await store.execute("SADD", keys.of_queue(QUEUE, "draining"), worker.id)  # it rescues, and claims nothing

        async def check() -> None:
            await worker.parts.rescue.check(worker.parts.consumers[0])

        yield check


async def add_expired(store: Connection, job_id: str, envelope: bytes, lease: str = "") -> None:
    """Add a job with this id and envelope, and an expired lease on it."""
    await store.execute("HSET", keys.of_queue(QUEUE, "jobs"), job_id, envelope)
    await store.execute("HINCRBY", keys.of_queue(QUEUE, "totals"), "enqueued", 1)
    await lease_again(store, job_id, lease)


async def lease_again(store: Connection, job_id: str, lease: str = "") -> None:
    for part in ("high", "normal", "low"):
        await store.execute("ZREM", keys.of_queue(QUEUE, f"scheduled:{part}"), job_id)
        await store.execute("LREM", keys.of_queue(QUEUE, f"ready:{part}"), 0, job_id)
    await store.execute("ZADD", keys.of_queue(QUEUE, "leases"), EXPIRED, job_id + (lease or ":web-1.a:0000000001"))


async def view(store: Connection, job_id: str) -> JobView:
    found = await read_job(store, QUEUE, job_id)
    assert found is not None
    return found


UNREADABLE = {
    "newer": b'{"v":2,"id":"x","shape":"unheard of","priority":"high"}',
    "newer and alike": b'{"v":2,"id":"x","name":"known","queue":"default","args":{},"max_crashes":1,"priority":"high"}',
    "not JSON": b"?",
    "no name": b'{"v":1,"id":"x"}',
    "no such priority": b'{"v":1,"id":"x","name":"known","queue":"default","args":{},"priority":"urgent"}',
    "no such retry": b'{"v":1,"id":"x","name":"known","queue":"default","args":{},"retry":{"max_attempts":"many"}}',
}


@pytest.mark.parametrize("envelope", UNREADABLE.values(), ids=UNREADABLE)
async def test_a_job_with_an_unreadable_envelope_is_never_charged_and_never_dropped(
    rescue: Rescue, store: Connection, envelope: bytes
) -> None:
    await add_expired(store, "x", envelope)
    for _ in range(4):
        await lease_again(store, "x")
        await rescue()
        found = await view(store, "x")
        assert (found.state, found.history.crashes, found.history.entries) == (JobState.SCHEDULED, 0, ())
        assert found.history.note, "the note says why it waits"
    priority = "high" if b'"high"' in envelope else "normal"
    assert await store.execute("ZSCORE", keys.of_queue(QUEUE, f"scheduled:{priority}"), "x") is not None
    assert await store.execute("HGET", keys.of_queue(QUEUE, "jobs"), "x") == envelope
    assert await store.execute("HGET", keys.of_queue(QUEUE, "totals"), "crashed") is None


@pytest.mark.parametrize("name", ["known", "unheard_of"])
@pytest.mark.parametrize("own", [None, 1, 3])
async def test_the_crash_limit_is_the_envelopes_or_else_the_pools(
    rescue: Rescue, store: Connection, name: str, own: int | None
) -> None:
    limit = 2 if own is None else own
    said = "" if own is None else f',"max_crashes":{own}'
    await add_expired(
        store, "x", b'{"v":1,"id":"x","name":"%b","queue":"default","args":{}%b}' % (name.encode(), said.encode())
    )
    for crash in range(1, limit + 1):
        await lease_again(store, "x", f":web-1.a:{crash:010d}")
        await rescue()
        history = (await view(store, "x")).history
        last = history.entries[-1]
        assert (history.crashes, last.error, last.worker) == (crash, "WorkerLost", "web-1.a")
    assert (await view(store, "x")).state is JobState.DEAD


async def test_each_lease_has_an_outcome_of_its_own(store: Connection) -> None:
    """A supervisor knows which attempt killed the worker: only this one is charged."""
    leases = keys.of_queue(QUEUE, "leases")
    for job_id, worker in (("crashed", "web-1.a"), ("interrupted", "web-1.a"), ("other", "web-1.b")):
        envelope = b'{"v":1,"id":"%b","name":"n","queue":"default","args":{}}' % job_id.encode()
        await add_expired(store, job_id, envelope, f":{worker}:0000000007")
        await store.execute("ZADD", leases, NOT_EXPIRED, f"{job_id}:{worker}:0000000007")
    outcomes = {
        "crashed:web-1.a:0000000007": Outcome(
            OutcomeKind.CRASHED, error="WorkerKilled", message="the job ended its worker by SIGABRT"
        )
    }
    interrupted = Outcome(OutcomeKind.INTERRUPTED, message="its worker ended because of another job")
    rescuer = Rescuer(store, "web-1.supervisor", lease_ms=10_000)
    swept = await rescuer.sweep(
        QUEUE, holders=[held_by("web-1.a")], outcome_of=lambda taken: outcomes.get(taken.former_lease_id, interrupted)
    )
    assert {each.taken.id: each.outcome.kind for each in swept.rescued} == {
        "crashed": OutcomeKind.CRASHED,
        "interrupted": OutcomeKind.INTERRUPTED,
    }
    crashed, back = await view(store, "crashed"), await view(store, "interrupted")
    assert (crashed.history.crashes, crashed.history.entries[-1].error) == (1, "WorkerKilled")
    assert "SIGABRT" in crashed.history.entries[-1].message
    assert "SIGABRT" in swept.rescued[0].decision.message
    assert (back.state, back.history.crashes, back.history.entries) == (JobState.QUEUED, 0, ())
    assert await store.execute("ZRANGE", leases, 0, -1) == [b"other:web-1.b:0000000007"], (
        "the lease of another worker stays"
    )


async def test_a_sweep_ends_even_if_leases_expire_as_fast_as_they_are_taken_over(store: Connection) -> None:
    """Each settlement leaves another expired lease, as jobs do that kill their workers at once."""
    leases, number = keys.of_queue(QUEUE, "leases"), iter(range(100_000))

    async def another(count: int) -> None:
        for _ in range(count):
            job_id = f"job-{next(number)}"
            await add_expired(
                store, job_id, b'{"v":1,"id":"%b","name":"n","queue":"default","args":{}}' % job_id.encode()
            )

    class Busy(Connection):
        async def call(self, name: str, queue: str, arguments: Any) -> Any:
            if name == "step":
                await another(RESCUE_LIMIT)
            return await super().call(name, queue, arguments)

    await another(RESCUE_LIMIT + 50)
    busy = Busy(store.url)
    async with asyncio.timeout(20):
        swept = await Rescuer(busy, "operator.x", lease_ms=60_000).sweep(QUEUE)
    await busy.aclose()
    assert RESCUE_LIMIT + 50 <= len(swept.rescued) <= 2 * RESCUE_LIMIT
    assert await store.execute("ZCARD", leases) >= RESCUE_LIMIT


@pytest.mark.parametrize("arrived", [True, False], ids=["the reply was lost", "the settlement was lost"])
async def test_a_rescue_that_an_outage_interrupts_is_completed_by_the_next_and_charged_once(
    store: Connection, *, arrived: bool
) -> None:
    await add_expired(store, "x", b'{"v":1,"id":"x","name":"n","queue":"default","args":{}}')
    lost: list[str] = []

    class Flaky(Connection):
        async def call(self, name: str, queue: str, arguments: Any) -> Any:
            if name == "step" and not lost:
                lost.append(name)
                if arrived:
                    await super().call(name, queue, arguments)
                raise StoreUnavailableError("redis://here: cannot be reached: gone")
            return await super().call(name, queue, arguments)

    flaky = Flaky(store.url)
    rescuer = Rescuer(flaky, "operator.x", lease_ms=60_000)
    with pytest.raises(StoreUnavailableError):
        await rescuer.sweep(QUEUE, outcome_of=vanished)
    await rescuer.sweep(QUEUE)
    await flaky.aclose()
    found = await view(store, "x")
    assert (found.state, found.history.crashes) == (JobState.QUEUED, 1)
    assert found.history.entries[-1].worker == "web-1.a"
    assert int(await store.execute("HGET", keys.of_queue(QUEUE, "totals"), "crashed")) == 1
