"""Middleware: order, errors, results, and calls that do not reach the handler."""

import warnings
from typing import Any

import pytest

from jobpools import App, ConfigurationError, Context, JobDeadError, Next, Retry
from jobpools.testing import run_until_idle


async def test_middleware_nests_sees_errors_and_may_turn_them_into_results(app: App) -> None:
    calls: list[str] = []

    @app.middleware
    async def outer(ctx: Context, call_next: Next) -> Any:
        calls.append("outer")
        try:
            return await call_next()
        except KeyError:
            return f"{ctx.name} was saved"

    @app.middleware
    async def inner(ctx: Context, call_next: Next) -> Any:
        calls.append(f"inner {ctx.attempt}")
        return await call_next()

    @app.job(retry=Retry(strategy="none"))
    async def lookup(key: str) -> str:
        return {"a": "found"}[key]

    @app.job(retry=Retry(strategy="none"))
    def broken() -> None:
        raise ValueError("in a thread")

    good, saved, bad = await lookup.enqueue("a"), await lookup.enqueue("b"), await broken.enqueue()
    await run_until_idle(app)
    assert calls == ["outer", "inner 1"] * 3
    assert (await good.result(), await saved.result()) == ("found", "lookup was saved")
    with pytest.raises(JobDeadError, match="ValueError: in a thread"):
        await bad.result()


async def test_a_middleware_that_does_not_call_next_fails_the_job(app: App) -> None:
    ran: list[str] = []

    @app.middleware
    async def outer(_ctx: Context, call_next: Next) -> Any:
        return await call_next()

    @app.middleware
    async def forgetful(ctx: Context, call_next: Next) -> Any:
        return await call_next() if ctx.name == "right" else "done"

    @app.job(retry=Retry(strategy="none"))
    async def work() -> None:
        ran.append("work")

    @app.job
    async def right() -> str:
        return "right"

    left_out, right_one = await work.enqueue(), await right.enqueue()
    await run_until_idle(app)
    says = r"middleware forgetful: returned without awaiting call_next\(\), so the handler did not run"
    with pytest.raises(JobDeadError, match=says):
        await left_out.result()
    assert not ran
    assert await right_one.result() == "right"


async def test_a_middleware_that_does_not_await_call_next_fails_the_job(app: App) -> None:
    @app.middleware
    async def forgetful(_ctx: Context, call_next: Next) -> Any:
        with warnings.catch_warnings(action="ignore"):  # Python warns about the coroutine as well
            call_next()

    @app.job(retry=Retry(strategy="none"))
    async def work() -> None: ...

    job = await work.enqueue()
    await run_until_idle(app)
    with pytest.raises(JobDeadError, match="the handler did not run"):
        await job.result()


def test_a_middleware_with_other_parameters_is_refused(app: App) -> None:
    async def lonely(ctx: Context) -> Any: ...

    with pytest.raises(ConfigurationError, match=r"middleware lonely: .*; write async def lonely\(ctx, call_next\)"):
        app.middleware(lonely)  # type: ignore[type-var]  # that is the mistake
    with pytest.raises(ConfigurationError, match=r"@app\.middleware: 7 is not a function"):
        app.middleware(7)  # type: ignore[type-var]  # that is the mistake
