"""The services of a worker: their order, their errors, and their end."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from jobpools import App, ConfigurationError
from jobpools.runtime.services import Services
from jobpools.runtime.worker import Worker
from jobpools.service import Service
from jobpools.settings import WorkerSettings
from jobpools.testing import context
from tests.runtime.conftest import working
from tests.support.waiting import until


async def test_services_close_in_reverse_order_even_if_one_does_not_open() -> None:
    calls: list[str] = []

    async def first() -> AsyncIterator[str]:
        calls.append("first opens")
        yield "1"
        calls.append("first closes")

    def second() -> Iterator[str]:
        calls.append("second opens")
        yield "2"
        calls.append("second closes")

    async def third() -> AsyncIterator[str]:
        if calls:
            raise OSError("no\nroute")
        yield "3"

    services, declared = Services(), [Service(first), Service(second)]
    await services.start(declared)
    assert [services.get(service) for service in declared] == ["1", "2"]
    await services.stop()
    assert calls == ["first opens", "second opens", "second closes", "first closes"]
    calls.clear()
    says = r"service third does not open: OSError: no route \(.*test_services\.py:\d+\); the worker does not .*"
    with pytest.raises(ConfigurationError, match=f"^{says}$"):
        await services.start([*declared, Service(third)])
    assert calls == ["first opens", "second opens", "second closes", "first closes"]


def test_a_service_is_a_generator_function_and_must_be_declared() -> None:
    def plain() -> Any:
        return 1

    def undeclared() -> Iterator[int]:
        yield 1

    with pytest.raises(ConfigurationError, match="service plain: not a generator function"):
        Service(plain)
    with pytest.raises(ConfigurationError, match=r"service undeclared: not open; declare it with @app\.service"):
        context().service(Service(undeclared))


@pytest.mark.parametrize(
    "error", [OSError("cannot close"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()]
)
async def test_a_service_that_does_not_close_is_logged_and_the_worker_ends(
    error: BaseException, valkey_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = App("shop", redis=valkey_url)

    @app.job
    async def noop() -> None: ...

    @app.service
    def unclosable():  # type: ignore[no-untyped-def]  # noqa: ANN202
        yield 1
        raise error

    worker = Worker(app, WorkerSettings(redis_url=valkey_url))
    running_ = asyncio.create_task(worker.run())
    worker.stop()
    assert await running_ == 1
    assert "a service did not close" in caplog.text


async def test_a_service_that_hangs_when_it_closes_does_not_keep_the_worker_from_stopping(
    valkey_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobpools.runtime.worker.CLOSE_TIMEOUT", 0.05)
    app = App("shop", redis=valkey_url)

    @app.job
    async def noop() -> None: ...

    @app.service
    async def unclosable() -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    worker = Worker(app, WorkerSettings(redis_url=valkey_url))
    ended = asyncio.create_task(worker.run())
    await (await noop.enqueue()).result(timeout=5)
    await app.aclose()
    worker.stop()
    assert await asyncio.wait_for(ended, 5) == 1
    assert "a service did not close" in caplog.text


async def test_a_worker_stops_at_once_while_a_service_opens(app: App) -> None:
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
