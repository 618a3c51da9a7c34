"""The heartbeats of a worker in Redis."""

import asyncio
from typing import Any

import pytest

from jobpools import App
from jobpools.store.connection import Connection
from jobpools.store.endpoint_facts import read_workers
from tests.runtime.conftest import working
from tests.support.waiting import until


async def test_a_worker_is_listed_until_it_stops(app: App, store: Connection) -> None:
    @app.job
    async def noop() -> None: ...

    async with working(app, pool="shop/mail", concurrency=7) as worker:

        async def listed() -> Any:
            return await read_workers(store, "shop/mail", ["default"])

        while not await listed():  # the heartbeat is a task of its own
            pass
        (found,) = await listed()
        assert (found.worker, found.slots, found.busy, found.draining) == (worker.id, 7, 0, False)
        assert found.idle_since is not None
        assert found.rss_bytes > 10_000_000
        await noop.enqueue()
        await until(lambda: worker.metrics.completed == 1)
    assert await listed() == ()


async def test_a_worker_reports_when_its_attempts_began(app: App) -> None:
    gate = asyncio.Event()

    @app.job
    async def wait() -> None:
        await gate.wait()

    async with working(app, pool="shop/mail") as worker:
        sent = await wait.enqueue()
        async with asyncio.timeout(10):
            while (found := await app.jobs.get(sent.id)).started_at is None:  # noqa: ASYNC110  # a report every 3 s
                await asyncio.sleep(0.05)
        (attempt,) = worker.parts.slots.running
        assert abs(found.started_at - worker.parts.clock.at(attempt.started_at)) < 0.1
        assert [job.started_at for job in (await app.jobs.search(state="running")).jobs] == [found.started_at]
        gate.set()


async def test_a_server_that_may_evict_jobs_is_logged(
    app: App, store: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    @app.job
    async def noop() -> None: ...

    await store.execute("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        async with working(app):
            await until(lambda: "maxmemory-policy is allkeys-lru" in caplog.text)
    finally:
        await store.execute("CONFIG", "SET", "maxmemory-policy", "noeviction")
