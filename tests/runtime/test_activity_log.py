"""The periodic log line says what the worker has done since the last one."""

import asyncio
import logging

import pytest

from jobpools import App
from jobpools.core.jobs.job import OutcomeKind
from jobpools.runtime.activity_log import activity
from jobpools.runtime.metrics import Counted, Metrics
from jobpools.store.step import StepReply
from tests.runtime.conftest import working
from tests.support.waiting import until


def test_a_line_has_counts_rate_and_quantiles_of_the_interval() -> None:
    metrics = Metrics("default/shop")
    tally = metrics.tally("send", "emails")
    tally.complete(10.0)
    before = metrics.counted()
    for _ in range(97):
        tally.complete(0.0301)
    tally.complete(0.9)
    tally.end(OutcomeKind.FAILED, 4.1)
    reply = StepReply(
        [b"a", b"b"],
        [],
        [],
        [],
        -1,
        draining=False,
        left=0,
        now=10.0,
        dropped=0,
        paused=False,
        since=[b"9998", b"9998"],
    )
    metrics.waits_of("emails").observe(reply)
    assert activity(before, metrics.counted(), 60.0) == (
        "98 completed, 1 failed in 60s (1.63/s); waiting p50 2.1ms, p95 2.1ms, p99 2.1ms; "
        "running p50 29ms, p95 29ms, p99 4.36s"
    )


def test_a_line_of_an_idle_worker_has_no_quantiles() -> None:
    assert activity(Counted(), Counted(), 300.0) == "0 completed, 0 failed in 5m (0/s)"


async def test_a_worker_logs_periodically(app: App, caplog: pytest.LogCaptureFixture) -> None:
    @app.job
    async def noop() -> None: ...

    caplog.set_level(logging.INFO)
    await noop.enqueue()
    async with working(app, log_interval=0.2) as worker:
        await until(lambda: f"worker {worker.id}: 1 completed, 0 failed in 200ms (5/s); waiting p50 " in caplog.text)


async def test_an_interval_of_zero_logs_nothing(app: App, caplog: pytest.LogCaptureFixture) -> None:
    @app.job
    async def noop() -> None: ...

    caplog.set_level(logging.INFO)
    async with working(app, log_interval=0):
        await asyncio.sleep(0.3)
    assert " completed, 0 failed in " not in caplog.text
