"""The decision about an attempt that ended: retry functions that fail, and logs that raise."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from jobpools import App, JobDeadError, JobState, Retry
from jobpools.core.jobs.job import Disposition
from jobpools.testing import run_until_idle
from tests.runtime.harness import SlotsHarness
from tests.runtime.hostile import HOSTILE


def create(factory: Callable[[], BaseException]) -> BaseException:
    return factory()


MAX_DELAY = 10.0
"""Maximum seconds until an attempt ends; the timeouts of these jobs are 5 minutes."""


ONCE = Retry(strategy="none")


RAISED: dict[str, Callable[[], BaseException]] = {
    "exit": SystemExit,
    "interrupt": KeyboardInterrupt,
    "generator exit": GeneratorExit,
    "error": ValueError,
    "cancelled": asyncio.CancelledError,
    "attributes": HOSTILE["attributes recurse"],
}


@pytest.mark.parametrize("kind", RAISED)
async def test_a_retry_function_that_raises_gives_the_delay_of_the_strategy(
    app: App, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    def decide(_attempt: int, _error: BaseException | None) -> float | None:
        raise create(RAISED[kind])

    @app.job(retry=Retry(function=decide, max_attempts=2, initial=0.01))
    async def fail() -> None:
        raise OSError("no route")

    job = await fail.enqueue()
    with caplog.at_level(logging.INFO, "jobpools.worker"):
        await run_until_idle(app)
    with pytest.raises(JobDeadError, match="dead after 2 attempts: OSError: no route"):
        await job.result()
    wanted = type(create(RAISED[kind])).__name__
    assert any("its retry function raised" in each.getMessage() and wanted in each.getMessage()
               for each in caplog.records)  # fmt: skip


@pytest.mark.parametrize("answer", ["soon", float("nan"), float("inf"), -1, 1e300, object(), [], True])
async def test_a_retry_function_that_returns_an_invalid_value_gives_the_delay_of_the_strategy(
    app: App, answer: Any
) -> None:
    @app.job(retry=Retry(function=lambda _attempt, _error: answer, max_attempts=2, initial=0.01))
    async def fail() -> None:
        raise OSError("no route")

    job = await fail.enqueue()
    await run_until_idle(app)
    with pytest.raises(JobDeadError, match="dead after 2 attempts: OSError: no route"):
        await job.result()


@pytest.mark.parametrize("error", [ValueError("broken filter"), SystemExit(3), RecursionError("deep")])
async def test_a_log_filter_that_raises_does_not_hold_up_the_job(app: App, error: BaseException) -> None:
    def broken(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING:
            raise error
        return True

    @app.job(retry=ONCE)
    async def fail() -> None:
        raise OSError("no route")

    job = await fail.enqueue()
    logger = logging.getLogger("jobpools.worker")
    logger.addFilter(broken)
    try:
        async with asyncio.timeout(MAX_DELAY):
            await run_until_idle(app)
    finally:
        logger.removeFilter(broken)
    assert await job.state() is JobState.DEAD


async def raising(_ctx: Any, _args: dict[str, Any]) -> None:
    raise PaymentError("declined")


class PaymentError(ConnectionError): ...


async def test_a_retry_policy_that_raises_leaves_the_decision_to_the_default_policy(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class NoRetry:
        def __getattr__(self, name: str) -> None:
            raise SystemExit(name)

    harness = SlotsHarness(raising, retry=NoRetry())
    harness.slots.take([harness.attempt("a")])
    await harness.until_idle()
    assert harness.dispositions == {"a": Disposition.RETRY}
    assert "its retry policy failed; the default policy decides" in caplog.text
