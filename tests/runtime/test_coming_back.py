"""Redis goes and comes back while a worker works, rests or is full: it always finds back by itself."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jobpools import App, StoreUnavailableError
from jobpools.runtime.worker import Worker
from jobpools.settings import WorkerSettings
from jobpools.store import ledger
from jobpools.store.connect import connect
from tests.runtime.conftest import working
from tests.support.servers import Server, running, valkey_binary
from tests.support.waiting import until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(valkey_binary(), tmp_path) as server:
        yield server


def said(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return sum(text in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("slots", [1, 2], ids=["full", "with a slot free"])
async def test_while_a_job_runs(server: Server, caplog: pytest.LogCaptureFixture, slots: int) -> None:
    caplog.set_level(logging.INFO)
    go_on, began = asyncio.Event(), asyncio.Event()
    async with App("shop", redis=server.url) as app:

        @app.job
        async def long() -> str:
            began.set()
            await go_on.wait()
            return "done"

        @app.job
        async def short() -> str:
            return "short"

        job = await long.enqueue()
        async with working(app, concurrency=slots, lease=1) as worker:
            await began.wait()
            await until(lambda: worker.metrics.steps > 1)
            server.kill()
            await until(lambda: worker.parts.outage.is_ongoing)
            await asyncio.to_thread(server.start)
            await until(lambda: said(caplog, "Redis is back") == 1)  # which another thread may find and say
            assert (worker.parts.outage.is_ongoing, said(caplog, "Redis is unreachable")) == (False, 1)
            if slots > 1:
                assert await (await short.enqueue()).result(timeout=5) == "short"
            go_on.set()
            assert await job.result(timeout=5) == "done"
            assert worker.metrics.stale == 0
        connection = connect(server.url)
        ledger_of_queue = (await ledger.read(connection, ["default"]))["default"]
        assert (ledger_of_queue.lost, ledger_of_queue.waiting, ledger_of_queue.failed) == (0, 0, 0)
        await connection.aclose()


async def test_while_it_rests(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with App("shop", redis=server.url) as app:

        @app.job
        async def short() -> str:
            return "short"

        async with working(app) as worker:
            await until(lambda: worker.metrics.steps > 0)

            def back(times: int) -> bool:
                return said(caplog, "Redis is back") == times

            for times in (1, 2):
                server.kill()
                await until(lambda: worker.parts.outage.is_ongoing)
                await asyncio.to_thread(server.start)
                await until(partial(back, times))
                assert (worker.parts.outage.is_ongoing, said(caplog, "Redis is unreachable")) == (False, times)
                assert await (await short.enqueue()).result(timeout=5) == "short"


async def test_a_settlement_whose_answer_was_lost_is_sent_again_and_changes_nothing(
    valkey_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    ran = []
    async with App("shop", redis=valkey_url) as app:

        @app.job
        async def short() -> str:
            ran.append(1)
            return "short"

        async with working(app, lease=1) as worker:
            real = worker.parts.connection.call
            lost: list[Any] = []

            async def call(name: str, queue: str, arguments: Any) -> Any:
                reply = await real(name, queue, arguments)
                if name == "step" and arguments[6] and not lost:  # it settled something that completed
                    lost.append(arguments)
                    raise StoreUnavailableError("the answer was lost")
                return reply

            worker.parts.connection.call = call  # type: ignore[method-assign]
            job = await short.enqueue()
            await until(
                lambda: bool(lost) and not worker.parts.outage.is_ongoing and not worker.parts.consumers[0].outbox
            )
            assert await job.result(timeout=5) == "short"
            assert (worker.metrics.stale, worker.parts.consumers[0].leases.attempts) == (0, {}), (
                "refused, and rightly so"
            )
            assert said(caplog, "refused") == 0
        connection = connect(valkey_url)
        ledger_of_queue = (await ledger.read(connection, ["default"]))["default"]
        assert (len(ran), ledger_of_queue.completed, ledger_of_queue.lost) == (1, 1, 0)
        await connection.aclose()


async def test_a_service_that_does_not_close_is_logged_and_the_worker_ends(
    valkey_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = App("shop", redis=valkey_url)

    @app.job
    async def noop() -> None: ...

    @app.service
    def stubborn():  # type: ignore[no-untyped-def]  # noqa: ANN202
        yield 1
        raise OSError("cannot close")

    worker = Worker(app, WorkerSettings(redis_url=valkey_url))
    running_ = asyncio.create_task(worker.run())
    worker.stop()
    assert await running_ == 1
    assert "a service did not close" in caplog.text


async def test_a_service_that_hangs_when_it_closes_does_not_keep_the_worker(
    valkey_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobpools.runtime.worker.CLOSE_TIMEOUT", 0.05)
    app = App("shop", redis=valkey_url)

    @app.job
    async def noop() -> None: ...

    @app.service
    async def stubborn() -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    worker = Worker(app, WorkerSettings(redis_url=valkey_url))
    ended = asyncio.create_task(worker.run())
    await (await noop.enqueue()).result(timeout=5)
    await app.aclose()
    worker.stop()
    assert await asyncio.wait_for(ended, 5) == 1
    assert "a service did not close" in caplog.text
