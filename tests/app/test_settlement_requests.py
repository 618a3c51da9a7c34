"""A coroutine, a plain function in a thread and a middleware decide what becomes of their job."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from jobpools import (
    App,
    ArgumentsError,
    Context,
    DeadReason,
    Discard,
    JobDeadError,
    JobHandle,
    Next,
    Retry,
    RetryAfter,
    Snooze,
)
from jobpools.core.jobs.job import History
from jobpools.store.jobs import read_job
from jobpools.testing import run_until_idle

KINDS = ["coroutine", "thread", "middleware"]
Decide = Callable[[Context], None]


def register(app: App, kind: str, decide: Decide, retry: Retry | None = None) -> Any:
    """Register a handler that decides, or one behind a middleware that decides."""
    if kind == "coroutine":

        @app.job(retry=retry or Retry())
        async def work(ctx: Context) -> str:
            decide(ctx)
            return "done"

        return work
    if kind == "thread":

        @app.job(retry=retry or Retry())
        def work_in_thread(ctx: Context) -> str:
            decide(ctx)
            return "done"

        return work_in_thread

    @app.middleware
    async def outer(ctx: Context, call_next: Next) -> Any:
        decide(ctx)
        return await call_next()

    @app.job(retry=retry or Retry())
    async def inner() -> str:
        return "done"

    return inner


async def history(app: App, job: JobHandle[Any]) -> History:
    found = await read_job(app.client.connection(), job.queue, job.id)
    assert found is not None
    return found.history


@pytest.mark.parametrize("kind", KINDS)
async def test_retry_after_is_charged_and_sets_the_delay(app: App, kind: str) -> None:
    def decide(ctx: Context) -> None:
        if ctx.attempt < 3:
            raise RetryAfter(0.05, "too many requests")

    job = await register(app, kind, decide, Retry(initial="1h", on=[KeyError])).enqueue()
    await run_until_idle(app)
    assert await job.result() == "done"
    past = await history(app, job)
    assert past.attempts == 2
    assert [(each.error, each.message, each.delay) for each in past.entries] == [
        ("jobpools.RetryAfter", "too many requests", 0.05)
    ] * 2


@pytest.mark.parametrize("kind", KINDS)
async def test_retry_after_ends_at_the_policys_max_attempts(app: App, kind: str) -> None:
    def decide(_ctx: Context) -> None:
        raise RetryAfter(0) from ConnectionError("no route")

    job = await register(app, kind, decide, Retry(max_attempts=2)).enqueue()
    await run_until_idle(app)
    with pytest.raises(
        JobDeadError, match=r"dead after 2 attempts: jobpools.RetryAfter: ConnectionError: no route"
    ) as caught:
        await job.result()
    assert caught.value.reason == DeadReason.ATTEMPTS
    assert "ConnectionError: no route" in (await history(app, job)).entries[-1].traceback


@pytest.mark.parametrize("kind", KINDS)
async def test_discard_makes_the_job_dead_at_once(app: App, kind: str) -> None:
    def decide(_ctx: Context) -> None:
        raise Discard("no such order")

    job = await register(app, kind, decide).enqueue()
    await run_until_idle(app)
    with pytest.raises(JobDeadError, match=r"dead after 1 attempt: jobpools.Discard: no such order") as caught:
        await job.result()
    assert caught.value.reason == DeadReason.DISCARDED


@pytest.mark.parametrize("kind", KINDS)
async def test_snooze_is_not_charged_and_is_counted(app: App, kind: str) -> None:
    attempts: list[int] = []

    def decide(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        if ctx.history.snoozes < 5:
            raise Snooze("10ms", "not ready")

    job = await register(app, kind, decide, Retry(max_attempts=1)).enqueue()
    await run_until_idle(app)
    assert await job.result() == "done"
    assert attempts == [1] * 6
    assert await history(app, job) == History(snoozes=5)


async def test_a_job_that_is_cancelled_while_it_snoozes_does_not_run_again(app: App) -> None:
    runs: list[str] = []

    @app.job
    async def work(ctx: Context) -> None:
        runs.append(ctx.id)
        raise Snooze("1h")

    job = await work.enqueue()
    await run_until_idle(app)
    assert await job.state() == "scheduled"
    assert await job.cancel() == "cancelled"
    assert len(runs) == 1


async def test_a_request_while_the_result_is_encoded_is_an_error(app: App) -> None:
    class Odd:
        def __iter__(self) -> Any:
            raise Snooze("1s")

    @app.job
    async def work() -> Any:
        return {"odd": Odd()}

    job = await work.enqueue()
    await run_until_idle(app)
    with pytest.raises(JobDeadError) as caught:
        await job.result()
    assert caught.value.reason == DeadReason.INVALID


async def test_arguments_that_never_fit_are_invalid(app: App) -> None:
    @app.job
    async def double(number: int) -> int:
        return 2 * number

    with pytest.raises(ArgumentsError):
        await app.enqueue("double", {"number": "x"})
    job = await App("other", redis=app.client.url).enqueue("double", {"number": "x"}, queue="default")
    await run_until_idle(app)
    with pytest.raises(JobDeadError, match="ArgumentsError") as caught:
        await job.result()
    assert caught.value.reason == DeadReason.INVALID


async def test_a_timeout_that_is_not_retried_is_the_reason(app: App) -> None:
    @app.job(timeout="50ms", retry=Retry(on_timeout=False))
    async def slow() -> None:
        await asyncio.sleep(5)

    job = await slow.enqueue()
    await run_until_idle(app)
    with pytest.raises(JobDeadError, match="ran longer than 50ms") as caught:
        await job.result()
    assert caught.value.reason == DeadReason.TIMEOUT
