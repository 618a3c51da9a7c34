"""The life cycle of a worker in this process: a part that fails, and what is left after the end."""

import asyncio
import gc
import warnings

import pytest

from jobpools import App
from jobpools.runtime.worker import Worker
from jobpools.settings import WorkerSettings
from jobpools.testing import run_until_idle


async def test_a_worker_stops_and_logs_when_one_of_its_parts_fails(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    @app.job
    async def noop() -> None: ...

    async def broken() -> None:
        raise RuntimeError("a bug")

    worker = Worker(app, WorkerSettings(redis_url=app.client.url, worker="host"))
    monkeypatch.setattr(worker.parts.dispatcher, "run", broken)
    assert await worker.run() == 1
    assert "its part 'dispatcher' failed; the worker stops" in caplog.text


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
