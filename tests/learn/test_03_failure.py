"""What happens when a handler fails: retries, the dead-letter queue, timeouts, cancellation."""

import asyncio
import threading
import time

import pytest

from jobpools import App, Context, JobCancelledError, JobDeadError, JobState, ResultTimeoutError, Retry
from jobpools.testing import run_until_idle

QUICKLY = Retry(strategy="fixed", initial=0.01, jitter=0, max_attempts=3)


async def test_a_failed_job_runs_again(app: App) -> None:
    @app.job(retry=QUICKLY)
    async def flaky(ctx: Context) -> int:
        if ctx.attempt < 3:
            raise OSError("not yet")
        return ctx.attempt

    job = await flaky.enqueue()
    await run_until_idle(app)
    assert await job.result() == 3


async def test_without_retries_the_first_failure_is_final(app: App) -> None:
    @app.job(retry=Retry(strategy="none"))
    async def broken() -> None:
        raise ValueError("no such address")

    job = await broken.enqueue()
    await run_until_idle(app)
    assert await job.state() is JobState.DEAD


async def test_delays_increase_exponentially(app: App) -> None:
    began: list[float] = []

    @app.job(retry=Retry(initial=0.05, factor=4, jitter=0, max_attempts=3))  # exponential: 0.05 s, then 0.2 s
    async def broken() -> None:
        began.append(time.monotonic())
        raise OSError("not yet")

    await broken.enqueue()
    await run_until_idle(app)
    first, second = began[1] - began[0], began[2] - began[1]
    assert first >= 0.05
    assert second >= 0.2


async def test_a_job_without_attempts_left_is_dead_and_names_its_last_error(app: App) -> None:
    @app.job(retry=QUICKLY)
    async def broken() -> None:
        raise ZeroDivisionError("no orders today")

    job = await broken.enqueue()
    await run_until_idle(app)
    with pytest.raises(JobDeadError, match=r"dead after 3 attempts: ZeroDivisionError: no orders today"):
        await job.result()


async def test_the_history_has_each_error_and_its_time(app: App) -> None:
    notes: list[str] = []

    @app.job(retry=QUICKLY)
    async def flaky(ctx: Context) -> None:
        notes.extend(f"{failed.attempt}: {failed.error}: {failed.message}" for failed in ctx.history.entries[-1:])
        raise OSError(f"timeout {ctx.attempt}")

    await flaky.enqueue()
    await run_until_idle(app)
    assert notes == ["1: OSError: timeout 1", "2: OSError: timeout 2"]


async def test_a_job_can_have_its_own_retries(app: App) -> None:
    attempts: list[int] = []

    @app.job(retry=QUICKLY)
    async def broken(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        raise OSError

    await broken.options(retry=Retry(strategy="none")).enqueue()
    await run_until_idle(app)
    assert attempts == [1]


async def test_only_the_listed_errors_are_retried(app: App) -> None:
    attempts: list[int] = []

    @app.job(retry=Retry(initial=0.01, max_attempts=5, on=[ConnectionError]))  # and all that derive from it
    async def fetch(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        raise ConnectionResetError if ctx.attempt == 1 else ValueError("malformed")

    await fetch.enqueue()
    await run_until_idle(app)
    assert attempts == [1, 2]


async def test_errors_to_retry_can_be_given_by_name(app: App) -> None:
    attempts: list[int] = []

    @app.job
    async def fetch(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        raise ConnectionResetError if ctx.attempt == 1 else ValueError("malformed")

    only = Retry(initial=0.01, max_attempts=5, on=["ConnectionError"])
    await fetch.options(retry=only).enqueue()
    await run_until_idle(app)
    assert attempts == [1, 2]


async def test_a_function_computes_the_delay(app: App) -> None:
    asked: list[tuple[int, str]] = []

    def after(attempt: int, error: BaseException | None) -> float | None:
        asked.append((attempt, str(error)))
        return 0.01 if attempt < 2 else None

    @app.job(retry=Retry(function=after, max_attempts=10))
    async def broken() -> None:
        raise ValueError("no")

    await broken.enqueue()
    await run_until_idle(app)
    assert asked == [(1, "no"), (2, "no")]


async def test_an_attempt_that_takes_too_long_is_cancelled(app: App) -> None:
    cleaned = False

    @app.job(timeout=0.1, retry=Retry(strategy="none"))
    async def slow() -> None:
        nonlocal cleaned
        try:
            await asyncio.sleep(60)
        finally:
            cleaned = True

    job = await slow.enqueue()
    await run_until_idle(app)
    with pytest.raises(JobDeadError, match="TimeoutError: ran longer than 100ms"):
        await job.result()
    assert cleaned


async def test_a_plain_function_checks_ctx_cancelled(app: App) -> None:
    noticed = threading.Event()

    @app.job(timeout=0.1, retry=Retry(strategy="none"))
    def slow(ctx: Context) -> None:
        while not ctx.cancelled:  # a thread cannot be stopped from outside
            time.sleep(0.005)
        noticed.set()

    job = await slow.enqueue()
    await run_until_idle(app)
    assert await job.state() is JobState.DEAD
    assert noticed.wait(5)


async def test_a_queued_job_can_be_cancelled(app: App) -> None:
    ran = False

    @app.job
    async def never() -> None:
        nonlocal ran
        ran = True

    job = await never.enqueue()
    await job.cancel()
    await run_until_idle(app)
    assert not ran
    assert await job.state() is JobState.CANCELLED
    with pytest.raises(JobCancelledError):
        await job.result()


async def test_a_running_job_can_be_cancelled_and_cleans_up(app: App) -> None:
    began, cleaned = asyncio.Event(), asyncio.Event()

    @app.job
    async def slow() -> None:
        began.set()
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.set()

    job = await slow.enqueue()
    working = asyncio.create_task(run_until_idle(app))
    await began.wait()
    assert await job.cancel() is JobState.RUNNING  # its worker learns of it within a few seconds
    with pytest.raises(JobCancelledError):
        await job.result(timeout=10)
    assert cleaned.is_set()
    await working


async def test_waiting_for_a_result_can_have_a_timeout(app: App) -> None:
    @app.job
    async def noop() -> None: ...

    job = await noop.enqueue()
    with pytest.raises(ResultTimeoutError, match="had not ended after 50ms: it is queued"):
        await job.result(timeout=0.05)
