"""Middleware around enqueueing: it may change a job or refuse it before it is sent, and runs after it is accepted."""

import asyncio
import contextvars
import logging
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobpools import (
    App,
    ConfigurationError,
    Context,
    JobHandle,
    JobState,
    Middleware,
    OutgoingJob,
    PayloadTooLargeError,
    StoreUnavailableError,
)
from jobpools.testing import run_until_idle
from tests.support.ports import free_port

trace: contextvars.ContextVar[str] = contextvars.ContextVar("trace", default="none")


class Tracing(Middleware):
    """Carries a trace id from the producer to the handler."""

    async def before_enqueue(self, job: OutgoingJob) -> None:
        await asyncio.sleep(0)
        job.metadata["trace"] = trace.get()

    def before_run(self, ctx: Context) -> None:
        trace.set(ctx.metadata["trace"])


async def test_metadata_that_a_hook_or_a_handler_changes_deep_inside_is_that_of_its_job_only(app: App) -> None:
    @app.middleware
    class Path(Middleware):
        def before_enqueue(self, job: OutgoingJob) -> None:
            job.metadata["path"].append(job.args["n"])

    @app.job(metadata={"path": []})
    async def work(ctx: Context, n: int) -> Any:
        ctx.metadata["n"] = n
        ctx.metadata["path"].append(object())
        return ctx.metadata["path"]

    jobs = [await work.enqueue(n) for n in range(3)]
    await run_until_idle(app)
    assert [await job.result() for job in jobs] == [[0], [1], [2]]


async def test_a_trace_id_travels_from_the_producer_through_jobs_that_a_job_enqueues(app: App) -> None:
    app.middleware(Tracing)
    traces: dict[str, str] = {}

    @app.job
    async def child() -> None:
        traces["child"] = trace.get()

    @app.job(metadata={"team": "shop"})
    async def parent(ctx: Context) -> dict[str, Any]:
        traces["parent"] = trace.get()
        await child.enqueue()
        return ctx.metadata

    trace.set("t-1")
    job = await parent.enqueue()
    trace.set("t-2")
    await asyncio.to_thread(child.options(queue="other").enqueue_sync)
    await run_until_idle(app, queues=["default"])
    assert traces == {"parent": "t-1", "child": "t-1"}
    assert await job.result() == {"team": "shop", "trace": "t-1"}
    await run_until_idle(app, queues=["other"])
    assert traces["child"] == "t-2", "a coroutine has the context of the thread that enqueues"


async def test_before_enqueue_changes_options(app: App) -> None:
    seen: list[tuple[Any, ...]] = []

    @app.middleware
    class Routing(Middleware):
        def before_enqueue(self, job: OutgoingJob) -> None:
            assert job.args == {"n": 7}
            job.change(queue="slow", priority="low", tags=["routed", *job.tags], delay="1h", timeout="9s")
            job.change(metadata={"why": "size"})

        def after_enqueue(self, job: OutgoingJob, handle: JobHandle[Any]) -> None:
            seen.append((job.id, job.queue, job.priority, job.tags, job.metadata, handle.new))

    @app.job(tags=["a"])
    async def work(n: int) -> None: ...

    first = await work.options(id="one").enqueue(7)
    second = work.options(id="one").enqueue_sync(7)
    assert (first.queue, first.new, second.new) == ("slow", True, False)
    assert await first.state() is JobState.SCHEDULED
    facts = ("one", "slow", "low", ("routed", "a"), {"why": "size"})
    assert seen == [(*facts, True), (*facts, False)]


async def test_a_delay_replaces_the_time_of_a_job(app: App) -> None:
    @app.middleware
    class Sooner(Middleware):
        def before_enqueue(self, job: OutgoingJob) -> None:
            job.change(delay="10ms")

    @app.job
    async def work() -> int:
        return 1

    job = await work.options(at=datetime.now(UTC) + timedelta(days=1)).enqueue()
    await run_until_idle(app)
    assert await job.result(timeout=5) == 1


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda job: job.change(priority="urgent"), ConfigurationError, "before_enqueue work: priority: 'urgent' is"),
        (lambda job: job.change(at=datetime.now(UTC), delay=1), ConfigurationError, "at and delay exclude each other"),
        (lambda job: job.change(id="x"), ConfigurationError, "before_enqueue work: id: a middleware cannot change it"),
        (lambda job: job.metadata.update(x=object()), ConfigurationError, "before_enqueue work: metadata: "),
        (lambda job: job.metadata.update(x="x" * 2_000_000), PayloadTooLargeError, "work: the encoded job takes"),
        (lambda _job: 1 / 0, ZeroDivisionError, "division"),
    ],
)
async def test_an_error_before_enqueueing_is_raised_and_nothing_is_sent(
    app: App, change: Any, error: type[Exception], says: str
) -> None:
    @app.middleware
    class Strict(Middleware):
        def before_enqueue(self, job: OutgoingJob) -> None:
            if job.args["n"] == 2:
                change(job)

    @app.job
    async def work(n: int) -> int:
        return n

    with pytest.raises(error, match=says):
        await app.enqueue_many([work.options(id=f"job-{n}").call(n) for n in (1, 2)])
    with pytest.raises(error, match=says):
        app.enqueue_many_sync([work.options(id=f"job-{n}").call(n) for n in (1, 2)])
    assert (await work.options(id="job-1").enqueue(1)).new


async def test_an_error_after_enqueueing_is_logged_and_the_handle_is_returned(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    threads: list[int] = []

    @app.middleware
    class Broken(Middleware):
        async def after_enqueue(self, _job: OutgoingJob, _handle: JobHandle[Any]) -> None:
            raise RuntimeError("no audit log")

    @app.middleware
    class Plain(Middleware):
        def after_enqueue(self, _job: OutgoingJob, _handle: JobHandle[Any]) -> None:
            threads.append(threading.get_ident())

    @app.job
    async def work() -> None: ...

    with caplog.at_level(logging.ERROR, "jobpools.client"):
        assert (await work.enqueue()).new
        assert work.enqueue_sync().new
    texts = [each.getMessage() for each in caplog.records]
    assert len(texts) == 2
    assert all("it is enqueued, and " in text and "RuntimeError: no audit log" in text for text in texts)
    assert threads == [threading.get_ident()] * 2, "a plain method runs in the thread that enqueues"


async def test_after_enqueue_does_not_run_if_the_job_was_not_accepted() -> None:
    accepted: list[str] = []

    async with App("shop", redis=f"redis://127.0.0.1:{free_port()}") as app:

        @app.middleware
        class Accepted(Middleware):
            def after_enqueue(self, job: OutgoingJob, _handle: JobHandle[Any]) -> None:
                accepted.append(job.id)

        @app.job
        async def work() -> None: ...

        with pytest.raises(StoreUnavailableError):
            await work.enqueue()
    assert accepted == []
