"""A worker follows the commands that users give to it in Redis."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jobpools import App
from jobpools.core.pools.facts import Heartbeat
from jobpools.core.pools.worker_states import CommandKind, ReportedState, WorkerCommand
from jobpools.runtime import heartbeat
from jobpools.runtime.probes import readyz
from jobpools.runtime.worker import Worker
from jobpools.settings import WorkerSettings
from jobpools.store import keys
from jobpools.store.connection import Connection
from jobpools.store.endpoint_facts import read_workers
from jobpools.store.worker_commands import give_command, remove_command
from tests.runtime.conftest import working
from tests.support.waiting import until

POOL = "shop/mail"


async def report(store: Connection) -> Heartbeat | None:
    found = await read_workers(store, POOL, ["default"])
    return found[0] if found else None


async def reported(store: Connection, state: ReportedState) -> Heartbeat:
    """Wait until the worker reports this state."""
    async with asyncio.timeout(10):
        while (found := await report(store)) is None or found.state is not state:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return found


async def test_a_paused_worker_claims_nothing_until_it_is_resumed(app: App, store: Connection) -> None:
    gate = asyncio.Event()

    @app.job
    async def wait() -> None:
        await gate.wait()

    @app.job
    async def noop() -> None: ...

    async with working(app, pool=POOL, concurrency=4) as worker:
        await reported(store, ReportedState.RUNNING)
        await wait.enqueue()
        await until(lambda: len(worker.parts.slots.running) == 1)
        asked = time.monotonic()
        await give_command(store, POOL, worker.id, WorkerCommand(CommandKind.PAUSE, "ada", "its memory grows"))
        paused = await reported(store, ReportedState.PAUSED)
        assert time.monotonic() - asked < heartbeat.INTERVAL + 1
        assert str(paused.command) == "by ada: its memory grows"
        assert readyz(worker.parts.vitals.snapshot()).status == 200
        handle = await noop.enqueue()
        gate.set()
        await until(lambda: worker.metrics.completed == 1)
        await asyncio.sleep(0.5)
        assert (worker.metrics.completed, str(await handle.state())) == (1, "queued")
        await remove_command(store, POOL, worker.id)
        await until(lambda: worker.metrics.completed == 2)
        assert (await reported(store, ReportedState.RUNNING)).command is None


async def test_a_stopped_worker_finishes_its_jobs_and_exits_with_0(app: App, store: Connection) -> None:
    gate = asyncio.Event()

    @app.job
    async def wait() -> None:
        await gate.wait()

    worker = Worker(app, WorkerSettings(redis_url=app.client.url, worker="host", pool=POOL, grace=20.0))
    running = asyncio.create_task(worker.run())
    await reported(store, ReportedState.RUNNING)
    await wait.enqueue()
    await until(lambda: len(worker.parts.slots.running) == 1)
    await give_command(store, POOL, worker.id, WorkerCommand(CommandKind.STOP, "ada"))
    stopping = await reported(store, ReportedState.STOPPING)
    assert str(stopping.command) == "by ada"
    gate.set()
    assert await running == 0
    assert worker.metrics.completed == 1
    assert await store.execute("EXISTS", keys.workers(POOL), keys.commands(POOL)) == 0


async def test_a_paused_worker_passes_wake_ups_on(app: App, store: Connection) -> None:
    @app.job
    async def noop() -> None: ...

    async with working(app, pool=POOL) as paused:
        await reported(store, ReportedState.RUNNING)
        await give_command(store, POOL, paused.id, WorkerCommand(CommandKind.PAUSE))
        await reported(store, ReportedState.PAUSED)
        async with working(app, pool="shop/other", worker="other") as other:
            for number in range(5):
                await noop.enqueue()
                await until(lambda: other.metrics.completed == number + 1)  # noqa: B023
        assert paused.metrics.claimed == 0


@pytest.mark.parametrize("fails", [False, True])
async def test_a_worker_that_opens_its_services_is_starting(app: App, store: Connection, *, fails: bool) -> None:
    seen: list[Any] = []

    @app.job
    async def noop() -> None: ...

    @app.service
    async def database() -> AsyncIterator[None]:
        seen.append(await report(store))
        if fails:
            raise ValueError("no database")
        yield

    worker = Worker(app, WorkerSettings(redis_url=app.client.url, worker="host", pool=POOL))
    running = asyncio.create_task(worker.run())
    if fails:
        with pytest.raises(Exception, match="no database"):
            await running
        assert await report(store) is None
    else:
        await reported(store, ReportedState.RUNNING)
        worker.stop()
        assert await running == 0
    assert seen[0].state is ReportedState.STARTING
