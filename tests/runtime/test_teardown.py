"""Ending: no cancellation is lost, no task goes on, no socket is left open."""

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator

import pytest

from jobpools import App
from jobpools.runtime.background_tasks import BackgroundTasks
from jobpools.runtime.worker import Worker
from jobpools.settings import WorkerSettings
from jobpools.store.connect import connect
from jobpools.testing import run_until_idle
from tests.runtime.conftest import working
from tests.support.waiting import until


@pytest.mark.parametrize("ticks", range(12))
async def test_whenever_a_command_is_cancelled_the_cancellation_arrives(valkey_url: str, ticks: int) -> None:
    connection = connect(valkey_url)
    await connection.execute("PING")  # connected: the command itself is what is cancelled

    async def ask_for_ever() -> None:
        while True:
            await connection.execute("BLPOP", "nothing", "0.001")

    task = asyncio.create_task(ask_for_ever())
    for _ in range(ticks):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=2)
    assert done
    assert task.cancelled()
    await connection.aclose()


async def test_a_command_larger_than_a_socket_takes_at_once_arrives_whole(valkey_url: str) -> None:
    connection = connect(valkey_url)
    await connection.execute("SET", "key", b"x" * 20_000_000)
    assert await connection.execute("STRLEN", "key") == 20_000_000
    await connection.aclose()


async def test_a_part_that_loses_a_cancellation_is_cancelled_again() -> None:
    lost = 0

    async def stubborn() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if lost:
                    raise
                lost += 1

    tasks = BackgroundTasks()
    part = tasks.start("stubborn", stubborn())
    await asyncio.sleep(0)
    await tasks.cancel()
    assert (part.cancelled(), lost) == (True, 1)


async def test_a_worker_that_is_stopped_while_a_service_opens_goes_at_once(app: App) -> None:
    said: list[str] = []

    @app.service
    async def database() -> AsyncIterator[None]:
        said.append("opening")
        try:
            await asyncio.Event().wait()
            yield
        finally:
            said.append("closed")

    @app.job
    async def noop() -> None: ...

    async with asyncio.timeout(10):
        async with working(app) as worker:
            await until(lambda: said == ["opening"])
            worker.stop()
            worker.stop()
    assert said == ["opening", "closed"]


async def test_a_worker_one_of_whose_parts_breaks_says_so_and_goes(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    @app.job
    async def noop() -> None: ...

    async def broken() -> None:
        raise RuntimeError("a bug")

    worker = Worker(app, WorkerSettings(redis_url=app.client.url, worker="host"))
    monkeypatch.setattr(worker.parts.dispatcher, "run", broken)
    assert await worker.run() == 1
    assert "its dispatcher broke" in caplog.text


async def test_a_worker_leaves_no_socket_and_no_task_behind(valkey_url: str) -> None:
    app = App("shop", redis=valkey_url)

    @app.job
    async def noop() -> None: ...

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        await app.enqueue_many([noop.call() for _ in range(10)])
        await run_until_idle(app)
        await app.aclose()
        gc.collect()
    assert [str(warning.message) for warning in warned] == []
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
