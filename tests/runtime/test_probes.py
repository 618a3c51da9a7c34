"""/livez and /readyz of a worker, also while a handler blocks its event loop."""

import asyncio
import time

import pytest

from jobpools import App
from jobpools.observability.http_messages import Response, ok, unavailable
from jobpools.runtime import probes
from jobpools.runtime.vitals import Snapshot
from tests.runtime.conftest import working
from tests.support.http_get import get
from tests.support.metrics import parse, sample
from tests.support.ports import free_port

NOW = 1000.0
FINE = Snapshot(lease_thread=NOW, event_loop=NOW, dispatcher=NOW, outage=False, draining=False, deadline=0.0)


@pytest.mark.parametrize(
    ("snapshot", "response"),
    [
        (FINE, ok()),
        (FINE._replace(event_loop=NOW - 29), ok()),
        (FINE._replace(event_loop=NOW - 60), unavailable("the event loop has been blocked for 60 s")),
        (FINE._replace(event_loop=NOW - 60, deadline=NOW), ok()),
        (FINE._replace(dispatcher=NOW - 60), unavailable("the claim loop has not run for 60 s")),
        (FINE._replace(dispatcher=NOW - 60, outage=True), ok()),
        (FINE._replace(event_loop=NOW - 60, dispatcher=NOW - 70, deadline=NOW), ok()),
    ],
    ids=["fine", "short", "blocked", "within its timeout", "no claims", "outage", "both"],
)
def test_livez_fails_when_only_a_restart_helps(snapshot: Snapshot, response: Response) -> None:
    assert probes.livez(snapshot, NOW) == response


@pytest.mark.parametrize(
    ("snapshot", "response"),
    [
        (FINE, ok()),
        (FINE._replace(outage=True), unavailable("Redis is unreachable")),
        (FINE._replace(draining=True), unavailable("stopping")),
    ],
    ids=["fine", "outage", "stopping"],
)
def test_readyz_fails_when_no_job_is_claimed(snapshot: Snapshot, response: Response) -> None:
    assert probes.readyz(snapshot) == response


async def test_a_worker_answers_while_a_handler_blocks_its_event_loop(app: App) -> None:
    seen: list[tuple[int, str, str]] = []

    @app.job
    async def block(port: int) -> None:
        # This call blocks the event loop: only a thread can answer.
        for path in ("/livez", "/readyz", "/metrics"):
            seen.append(get(port, path))  # noqa: PERF401  # one after the other
        time.sleep(0.05)  # noqa: ASYNC251  # on purpose

    port = free_port()
    async with working(app, probe_port=port):
        await (await block.enqueue(port)).result(timeout=5)
    assert [status for status, _, _ in seen] == [200, 200, 200]
    samples, _ = parse(seen[2][2])
    assert sample(samples, "jobpools_busy", pool="default/worker") == 1
    assert sample(samples, "jobpools_slots", pool="default/worker") == 5


async def test_a_worker_that_drains_is_not_ready(app: App) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    @app.job
    async def wait() -> None:
        started.set()
        await ended.wait()

    port = free_port()
    async with working(app, probe_port=port) as worker:
        await wait.enqueue()
        await started.wait()
        assert (await asyncio.to_thread(get, port, "/readyz"))[::2] == (200, "ok\n")
        worker.stop()
        async with asyncio.timeout(10):
            while (response := await asyncio.to_thread(get, port, "/readyz"))[0] == 200:
                pass
        assert response[::2] == (503, "stopping\n")
        ended.set()
