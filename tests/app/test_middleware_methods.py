"""Middleware as a class: its methods around an attempt, their order, and their errors."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from jobpools import App, ConfigurationError, Context, JobDeadError, Middleware, Next, Retry, Snooze
from jobpools.testing import run_until_idle
from tests.runtime.hostile import HOSTILE, RaisingClassError

NO_RETRY = Retry(strategy="none")
SLOW = {"huge", "chain", "groups"}
"""Errors that take long to describe."""


class Recorder(Middleware):
    """Records its calls; `before_run` is a coroutine, the others are plain functions."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self.name = name
        self.calls = calls

    async def before_run(self, ctx: Context) -> None:
        await asyncio.sleep(0)
        self.calls.append(f"{self.name} before {ctx.name}")

    def after_run(self, ctx: Context, result: Any) -> None:
        self.calls.append(f"{self.name} after {ctx.name}: {result}")

    def on_failure(self, ctx: Context, error: BaseException) -> None:
        last = "last" if ctx.is_last_attempt else "not last"
        self.calls.append(f"{self.name} failure {ctx.name}, {last}: {type(error).__name__}: {error}")


async def test_methods_surround_an_attempt_like_functions_in_the_order_of_declaration(app: App) -> None:
    calls: list[str] = []
    app.middleware(Recorder("a", calls))

    @app.middleware
    async def around(_ctx: Context, call_next: Next) -> Any:
        calls.append("function")
        return await call_next()

    app.middleware(Recorder("b", calls))

    @app.job
    async def work() -> str:
        return "done"

    @app.job(retry=NO_RETRY)
    def broken() -> None:
        raise ValueError("in a thread")

    good = await work.enqueue()
    await run_until_idle(app)
    assert calls == ["a before work", "function", "b before work", "b after work: done", "a after work: done"]
    assert await good.result() == "done"
    calls.clear()
    await broken.enqueue()
    await run_until_idle(app)
    failures = [f"{name} failure broken, last: ValueError: in a thread" for name in "ba"]
    assert calls == ["a before broken", "function", "b before broken", *failures]


async def test_on_failure_runs_after_a_timeout_and_not_after_cancelling_or_snoozing(app: App) -> None:
    calls: list[str] = []
    app.middleware(Recorder("a", calls))
    started = asyncio.Event()

    @app.job(timeout="100ms", retry=NO_RETRY)
    async def slow() -> None:
        await asyncio.sleep(30)

    @app.job
    async def cancelled() -> None:
        started.set()
        await asyncio.sleep(30)

    @app.job
    async def snoozes(ctx: Context) -> None:
        if not ctx.history.snoozes:
            raise Snooze("10ms")

    @app.job(retry=NO_RETRY)
    async def cancels_itself() -> None:
        raise asyncio.CancelledError

    for job in (slow, snoozes, cancels_itself):
        await job.enqueue()
    victim = await cancelled.enqueue()
    running = asyncio.create_task(run_until_idle(app))
    await started.wait()
    await victim.cancel()
    await running
    assert sorted(each for each in calls if "failure" in each) == [
        "a failure cancels_itself, last: CancelledError: ",
        "a failure slow, last: TimeoutError: ran longer than 100ms",
    ]


async def test_an_error_of_a_method_is_the_error_of_the_attempt(app: App) -> None:
    ran: list[str] = []

    @app.middleware
    class Broken(Middleware):
        def before_run(self, ctx: Context) -> None:
            if ctx.name == "before":
                raise LookupError("no database")

        async def after_run(self, ctx: Context, result: Any) -> None:
            if ctx.name == "after":
                raise OSError(f"cannot store {result}")

    @app.job(retry=NO_RETRY)
    async def before() -> None:
        ran.append("before")

    @app.job(retry=NO_RETRY)
    async def after() -> str:
        ran.append("after")
        return "7"

    one, two = await before.enqueue(), await after.enqueue()
    await run_until_idle(app)
    with pytest.raises(JobDeadError, match="LookupError: no database") as caught:
        await one.result()
    assert "before_run" in caught.value.remote_traceback
    with pytest.raises(JobDeadError, match="OSError: cannot store 7"):
        await two.result()
    assert ran == ["after"]


async def test_an_error_of_on_failure_is_logged_and_does_not_hide_that_of_the_handler(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    @app.middleware
    class Broken(Middleware):
        async def on_failure(self, _ctx: Context, _error: BaseException) -> None:
            raise RuntimeError("the error tracker is down")

    @app.job(retry=NO_RETRY)
    async def work() -> None:
        raise ValueError("the true cause")

    job = await work.enqueue()
    await run_until_idle(app)
    with pytest.raises(JobDeadError, match="ValueError: the true cause"):
        await job.result()
    (logged,) = [each for each in caplog.records if "on_failure" in each.getMessage()]
    assert logged.levelno == logging.ERROR
    assert logged.exc_info is not None
    assert "the error tracker is down" in str(logged.exc_info[1])


async def test_whatever_on_failure_raises_the_attempt_has_the_error_of_its_handler(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where both errors have code that raises."""
    makers: list[Callable[[], BaseException]] = [
        *(HOSTILE[each] for each in sorted(HOSTILE.keys() - SLOW)),
        asyncio.CancelledError,
        lambda: Snooze("1s"),
    ]

    @app.middleware
    class Broken(Middleware):
        def on_failure(self, ctx: Context, _error: BaseException) -> None:
            make = makers[int(ctx.tags[0])]
            raise make()

    @app.job(retry=NO_RETRY)
    async def true_cause() -> None:
        raise RaisingClassError("the true cause")

    jobs = await app.enqueue_many([true_cause.options(tags=[str(at)]).call() for at in range(len(makers))])
    await run_until_idle(app)
    for job in jobs:
        with pytest.raises(JobDeadError, match="RaisingClassError: the true cause"):
            await job.result()
    assert caplog.text.count("Broken.on_failure raised") == len(makers)


def test_a_middleware_without_run_methods_does_not_wrap_handlers(app: App) -> None:
    @app.middleware
    class Tracing(Middleware):
        def before_enqueue(self, job: Any) -> None: ...

    assert app.middlewares == []


def test_a_class_with_a_wrong_method_is_refused(app: App) -> None:
    class Misspelt(Middleware):
        def before_runs(self, ctx: Context) -> None: ...

    class Short(Middleware):
        def on_failure(self, ctx: Context) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]  # that is the mistake
            ...

    class Empty(Middleware): ...

    class Needy(Middleware):
        def __init__(self, url: str) -> None: ...

        def before_run(self, ctx: Context) -> None: ...

    for kind, says in (
        (Misspelt, r"middleware Misspelt: before_runs: no such method; did you mean before_run\?"),
        (Short, r"middleware Short.on_failure: too many .*; write on_failure\(self, ctx, error\)"),
        (Empty, "middleware Empty: no methods; define one of before_enqueue, after_enqueue, before_run"),
        (Needy, r"middleware Needy: missing .*; pass an object, as in app\.middleware\(Needy\(…\)\)"),
    ):
        with pytest.raises(ConfigurationError, match=says):
            app.middleware(kind)
