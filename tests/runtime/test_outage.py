"""An outage is logged once when it begins and once when it is over, whichever part of the worker notices first."""

import asyncio
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from jobpools import App
from jobpools.errors import StoreDataError, StoreUnavailableError
from jobpools.runtime.outage import MAX_STABLE_AFTER, STABLE_AFTER, Outage, Tries, concerns_server
from jobpools.store import ledger
from jobpools.store.connection import connect
from tests.runtime.conftest import working
from tests.support.servers import Server, running, valkey_binary
from tests.support.waiting import until

ERROR = StoreUnavailableError("redis://127.0.0.1:1/0: cannot be reached")
BEGAN, ENDED = "Redis is unreachable", "Redis is back"


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage().partition(":")[0].partition(" after")[0] for record in caplog.records]


def test_an_outage_is_logged_once_and_is_over_when_no_part_fails(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outage = Outage()
    outage.recovered("steps")
    assert (outage.is_ongoing, logged(caplog)) == (False, [])
    outage.failed(ERROR, "steps")
    outage.failed(ERROR, "leases")
    outage.failed(ERROR, "steps")
    assert (outage.is_ongoing, logged(caplog)) == (True, [BEGAN])
    outage.recovered("wake-ups")
    outage.recovered("steps")
    assert (outage.is_ongoing, logged(caplog)) == (True, [BEGAN])
    outage.recovered("leases")
    outage.recovered("leases")
    assert (outage.is_ongoing, logged(caplog)) == (False, [BEGAN])
    outage.log_end(outage.ended + STABLE_AFTER)
    outage.log_end(outage.ended + STABLE_AFTER)
    assert logged(caplog) == [BEGAN, ENDED]
    outage.failed(ERROR, "leases")
    assert logged(caplog)[2:] == [BEGAN], "a new outage"


def test_relapses_are_one_outage(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outage = Outage()
    for _ in range(20):
        outage.failed(ERROR, "steps")
        outage.recovered("steps")
        outage.log_end(outage.ended + STABLE_AFTER / 2)
    assert (outage.is_ongoing, logged(caplog)) == (False, [BEGAN])
    outage.log_end(outage.ended + MAX_STABLE_AFTER - 0.1)
    assert logged(caplog) == [BEGAN], "each relapse makes it wait longer"
    outage.log_end(outage.ended + MAX_STABLE_AFTER)
    assert logged(caplog) == [BEGAN, ENDED]


def test_a_part_knows_whether_it_or_another_one_fails() -> None:
    outage = Outage()
    outage.failed(ERROR, "rescue")
    assert outage.is_failing("rescue")
    assert not outage.is_failing("steps")
    assert not outage.is_failing_elsewhere("rescue")
    outage.failed(ERROR, "steps")
    assert outage.is_failing_elsewhere("rescue")


def test_an_error_of_one_queue_does_not_concern_the_server() -> None:
    assert concerns_server(ERROR)
    assert not concerns_server(StoreDataError("a key of the queue holds another type"))


def test_delays_start_again_after_a_success() -> None:
    tries = Tries()
    assert [tries.failed(draw=0.0) for _ in range(3)] == [0.1, 0.2, 0.4]
    tries.succeeded()
    assert tries.failed(draw=0.0) == 0.1


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(valkey_binary(), tmp_path) as server:
        yield server


@pytest.mark.parametrize("slots", [1, 2], ids=["full", "with a slot free"])
async def test_a_worker_with_a_running_job_recovers_from_an_outage(
    server: Server, caplog: pytest.LogCaptureFixture, slots: int
) -> None:
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
            await until(lambda: logged(caplog).count(ENDED) == 1)  # which another thread may find and say
            assert (worker.parts.outage.is_ongoing, logged(caplog).count(BEGAN)) == (False, 1)
            if slots > 1:
                assert await (await short.enqueue()).result(timeout=5) == "short"
            go_on.set()
            assert await job.result(timeout=5) == "done"
            assert worker.metrics.stale == 0
        connection = connect(server.url)
        ledger_of_queue = (await ledger.read(connection, ["default"]))["default"]
        assert (ledger_of_queue.lost, ledger_of_queue.unfinished, ledger_of_queue.failed) == (0, 0, 0)
        await connection.aclose()


async def test_an_idle_worker_recovers_from_an_outage(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with App("shop", redis=server.url) as app:

        @app.job
        async def short() -> str:
            return "short"

        async with working(app) as worker:
            await until(lambda: worker.metrics.steps > 0)

            def back(times: int) -> bool:
                return logged(caplog).count(ENDED) == times

            for times in (1, 2):
                server.kill()
                await until(lambda: worker.parts.outage.is_ongoing)
                await asyncio.to_thread(server.start)
                await until(partial(back, times))
                assert (worker.parts.outage.is_ongoing, logged(caplog).count(BEGAN)) == (False, times)
                assert await (await short.enqueue()).result(timeout=5) == "short"
