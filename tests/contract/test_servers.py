"""The same jobs on every kind of server: Valkey, Redis, TLS, a user with few rights, a Redis Cluster, Sentinel."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from jobpools import App, Context, JobCancelledError, JobDeadError, Retry
from jobpools.control.queues import StoreQueues
from jobpools.core.jobs.job import JobState
from jobpools.core.pools.specs import Pool
from jobpools.core.text.names import QueueName
from jobpools.store import ledger, wakeups
from jobpools.store.connection import Connection, connect
from jobpools.store.jobs import read_job
from jobpools.store.lease_ids import lease_suffix_of
from jobpools.store.leases import renew_leases
from jobpools.store.server import queue_names
from jobpools.store.step import settle_and_claim
from jobpools.store.sync_connection import connect_sync
from jobpools.testing import run_until_idle
from tests.contract.conftest import Endpoint
from tests.support import dead_jobs
from tests.support.job_lists import read_jobs

QUEUES = ["emails", "reports", "default"]


@pytest.fixture
async def app(endpoint: Endpoint) -> AsyncIterator[App]:
    async with App("shop", redis=endpoint.url) as app:
        yield app


def connection(app: App) -> Connection:
    return app.client.connection()


async def totals_balance(app: App) -> None:
    totals = (await ledger.read(connection(app), QUEUES)).values()
    assert [each.lost for each in totals] == [0, 0, 0]


async def test_jobs_of_several_queues_complete(app: App) -> None:
    @app.job(queue="emails")
    async def square(n: int) -> int:
        return n * n

    @app.job(queue="reports")
    def half(n: int) -> float:
        return n / 2

    calls = [square.call(n) for n in range(600)]
    squares = await app.enqueue_many(calls)
    halves = [await half.enqueue(n) for n in range(5)]
    assert await queue_names(connection(app)) == ["emails", "reports"]
    await run_until_idle(app, concurrency=50)
    assert [await job.result() for job in squares[:20]] == [n * n for n in range(20)]
    assert [await job.result() for job in halves] == [0, 0.5, 1, 1.5, 2]
    totals = await ledger.read(connection(app), QUEUES)
    assert (totals["emails"].completed, totals["reports"].completed) == (600, 5)
    await totals_balance(app)


async def test_sync_code_enqueues_and_an_id_is_taken_once(app: App) -> None:
    @app.job(queue="emails")
    async def send(to: str) -> str:
        return to

    first = await asyncio.to_thread(lambda: send.options(id="order-1").enqueue_sync("ada"))
    second = await send.options(id="order-1").enqueue("grace")
    assert (first.new, second.new) == (True, False)
    await run_until_idle(app)
    assert await second.result() == "ada"


async def test_priorities_are_strict(app: App) -> None:
    ran: list[str] = []

    @app.job(queue="emails")
    async def note(what: str) -> None:
        ran.append(what)

    for priority in ("low", "normal", "high"):
        await note.options(priority=priority).enqueue(priority)
    await run_until_idle(app, concurrency=1)
    assert ran == ["high", "normal", "low"]


async def test_a_failed_job_is_retried_and_then_dead_and_then_replayed(app: App) -> None:
    broken = True

    @app.job(queue="emails", retry=Retry(max_attempts=2, initial=0.05, jitter=0))
    async def flaky(ctx: Context) -> int:
        if broken:
            raise OSError("no")
        return ctx.attempt

    job = await flaky.enqueue()
    await run_until_idle(app)
    with pytest.raises(JobDeadError, match="2 attempts: "):
        await job.result()
    (dead,) = await read_jobs(connection(app), "emails", JobState.DEAD)
    assert [attempt.message for attempt in dead.history.entries] == ["no", "no"]
    broken = False
    assert await dead_jobs.replay(connection(app), "emails", [job.id]) == 1
    await run_until_idle(app)
    assert await job.result() == 1
    await totals_balance(app)


async def test_dead_jobs_are_purged(app: App) -> None:
    @app.job(queue="emails", retry=Retry(strategy="none"))
    async def poison() -> None:
        raise OSError("no")

    job = await poison.enqueue()
    await run_until_idle(app)
    assert await dead_jobs.purge(connection(app), "emails", [job.id]) == 1
    assert await read_job(connection(app), "emails", job.id) is None
    await totals_balance(app)


async def test_delayed_jobs_wait(app: App) -> None:
    @app.job(queue="emails")
    async def send() -> float:
        return time.time()

    enqueued = time.time()
    soon = await send.options(delay=0.2).enqueue()
    later = await send.options(at=datetime.now(UTC) + timedelta(hours=1)).enqueue()
    assert await soon.state() is JobState.SCHEDULED
    await run_until_idle(app)
    assert await soon.result() >= enqueued + 0.2
    assert [view.id for view in await read_jobs(connection(app), "emails", JobState.SCHEDULED)] == [later.id]


async def test_jobs_are_searched_and_changed_by_a_filter(app: App) -> None:
    @app.job(queue="emails", retry=Retry(strategy="none"))
    async def send(to: str) -> None:
        if to == "nowhere":
            raise OSError("no such address")

    await send.options(id="dead").enqueue("nowhere")
    await send.options(id="done").enqueue("ada")
    await run_until_idle(app)
    await send.options(id="queued", tags=["vip"]).enqueue("ada")
    await send.options(id="later", delay="1h").enqueue("ada")
    found: list[str] = []
    cursor = None
    while True:
        page = await app.jobs.search(limit=1, cursor=cursor)
        found += [job.id for job in page.jobs]
        cursor = page.cursor
        if page.is_complete:
            break
    assert found == ["later", "queued", "dead", "done"]
    assert [job.id for job in (await app.jobs.search(text="such address", ended_after="1h")).jobs] == ["dead"]
    assert (await app.jobs.reschedule(tags=["vip"], delay="2h")).changed == 1
    assert (await app.jobs.run_now(state="scheduled", queue="emails")).changed == 2
    assert (await app.jobs.retry(text="such address")).changed == 1
    assert (await app.jobs.cancel(queue="emails")).changed == 3
    assert (await app.jobs.delete(queue="emails")).changed == 4
    assert (await app.jobs.search()).jobs == []
    await totals_balance(app)


async def test_waiting_jobs_are_cancelled(app: App) -> None:
    @app.job(queue="emails")
    async def send() -> None:
        raise AssertionError("it was cancelled")

    jobs = [await send.enqueue(), await send.options(delay="1h").enqueue()]
    assert [await job.cancel() for job in jobs] == [JobState.CANCELLED, JobState.CANCELLED]
    await run_until_idle(app)
    for job in jobs:
        with pytest.raises(JobCancelledError):
            await job.result()
    await totals_balance(app)


async def test_leases_are_renewed_and_rescued(app: App, endpoint: Endpoint) -> None:
    @app.job(queue="emails")
    async def send() -> int:
        return 1

    job, store = await send.enqueue(), connection(app)
    claimed = await settle_and_claim(
        store, "emails", "lost.1", claim=1, lease_suffix=lease_suffix_of("lost.1", 1), lease_ms=60_000
    )
    (lease,) = [job_id.decode() + lease_suffix_of("lost.1", 1) for job_id in claimed.ids]
    sync = connect_sync(endpoint.url)
    assert await asyncio.to_thread(renew_leases, sync, "emails", [lease, "gone:lost.1:0000000009"], 60_000) == (
        ["gone:lost.1:0000000009"],
        [],
    )
    sync.close()
    assert await job.state() is JobState.RUNNING
    pool = Pool.model_validate({"meta": {"name": "shop"}, "spec": {"app": "shop:app", "queues": ["emails", "reports"]}})
    operator = StoreQueues(store, "operator")
    assert await operator.drain(pool, ["lost.1", "idle.1"]) == ("idle.1",)
    assert await operator.release(pool, ["lost"]) == 1
    assert (await operator.observe([pool])).queues[QueueName("emails")].crashed_total == 1
    await run_until_idle(app)
    assert await job.result() == 1
    await totals_balance(app)


async def test_an_idle_worker_and_the_control_loop_are_woken(app: App, endpoint: Endpoint) -> None:
    @app.job(queue="emails")
    async def send() -> None: ...

    listening = connect(endpoint.url)
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def listen() -> None:
        async for queue in wakeups.listen(listening):
            heard.put_nowait(queue)

    listener = asyncio.create_task(listen())
    waiting = connect(endpoint.url, timeout=None)
    try:
        assert await asyncio.wait_for(heard.get(), 5) == "", "the subscription is open"
        idle = asyncio.create_task(wakeups.wait(waiting, ["emails"], 5))
        await send.enqueue()
        assert await asyncio.wait_for(idle, 5) == "emails"
        assert await asyncio.wait_for(heard.get(), 5) == "emails"
    finally:
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)
        await listening.aclose()
        await waiting.aclose()


async def test_scripts_that_the_server_forgot_are_sent_again(app: App, endpoint: Endpoint) -> None:
    @app.job(queue="emails")
    async def send() -> int:
        return 1

    await (await send.enqueue()).state()
    await ledger.read(connection(app), QUEUES)
    for server in endpoint.servers:
        with server.client() as client:
            client.script_flush()
    job = await send.enqueue()
    assert (await ledger.read(connection(app), QUEUES))["emails"].ready == 2
    await run_until_idle(app)
    assert await job.result() == 1
