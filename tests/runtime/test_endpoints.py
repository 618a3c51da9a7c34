"""/livez, /readyz and /metrics: always an answer, also while a handler blocks the event loop."""

import asyncio
import contextlib
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from jobpools import App
from jobpools.runtime.endpoints import Endpoints
from tests.runtime.conftest import working
from tests.runtime.test_metrics import parse
from tests.support.ports import free_port
from tests.support.waiting import until


def get(port: int, path: str) -> tuple[int, str, str]:
    """Status, content type, body."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def broken() -> tuple[int, str, str]:
    raise RuntimeError("on purpose")


@pytest.fixture
def endpoints() -> Iterator[Endpoints]:
    endpoints = Endpoints(
        0, {"/ok": lambda: (200, "text/plain", "fine\n"), "/no": lambda: (503, "text/plain", "no\n"), "/broken": broken}
    )
    endpoints.start()
    yield endpoints
    endpoints.close()


def test_answers(endpoints: Endpoints) -> None:
    assert get(endpoints.port, "/ok") == (200, "text/plain", "fine\n")
    assert get(endpoints.port, "/ok?x=1") == (200, "text/plain", "fine\n")
    assert get(endpoints.port, "/no") == (503, "text/plain", "no\n")
    assert get(endpoints.port, "/nowhere")[0] == 404


@pytest.mark.parametrize("request_", [b"", b"\r\n\r\n", b"GET\r\n\r\n", b"\xff\x00\r\n\r\n", b"x" * 70_000])
def test_a_strange_caller_does_not_end_it(endpoints: Endpoints, request_: bytes) -> None:
    hung_up = contextlib.suppress(OSError)  # on us, amid any of it
    with hung_up, socket.create_connection(("127.0.0.1", endpoints.port), timeout=30) as caller:
        caller.sendall(request_)
        caller.shutdown(socket.SHUT_WR)
        while caller.recv(4096):
            pass
    assert get(endpoints.port, "/ok")[0] == 200


def test_an_answer_that_fails_does_not_end_it(endpoints: Endpoints, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(OSError, match="closed connection"):
        get(endpoints.port, "/broken")
    assert get(endpoints.port, "/ok")[0] == 200
    assert "an answer failed" in caplog.text


def test_a_port_that_is_taken_is_an_error(endpoints: Endpoints) -> None:
    with pytest.raises(OSError, match="in use"):
        Endpoints(endpoints.port, {})


async def test_a_worker_answers_while_a_handler_blocks_its_event_loop(app: App) -> None:
    seen: list[tuple[int, str, str]] = []

    @app.job
    async def block(port: int) -> None:
        # The loop is held by this very line: only a thread can answer.
        for path in ("/livez", "/readyz", "/metrics"):
            seen.append(get(port, path))  # noqa: PERF401  # one after the other
        time.sleep(0.05)  # noqa: ASYNC251  # on purpose

    port = free_port()
    async with working(app, probe_port=port) as worker:
        job = await block.enqueue(port)
        await job.result(timeout=5)
        assert [status for status, _, _ in seen] == [200, 200, 200]
        samples, _ = parse(seen[2][2])
        assert samples["jobpools_busy", frozenset({("pool", "default/worker")})] == 1
        assert samples["jobpools_slots", frozenset({("pool", "default/worker")})] == 5

        # /livez fails when a loop does not run and no handler within its deadline is the reason.
        dispatcher = worker.dispatcher
        worker.dispatcher = SimpleNamespace(progress=time.monotonic() - 60, draining=False)  # type: ignore[assignment]
        stalled = await asyncio.to_thread(get, port, "/livez")
        worker.dispatcher = dispatcher
        assert stalled[::2] == (503, "the claim loop has not run for 60 s\n")
        assert (await asyncio.to_thread(get, port, "/livez"))[0] == 200
        worker.processor.stopping = True
        assert (await asyncio.to_thread(get, port, "/readyz"))[::2] == (503, "stopping\n")
        await until(worker.reporting._draining)
