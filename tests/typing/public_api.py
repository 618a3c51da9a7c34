# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""Typed uses of the public API. mypy and pyright check this file in strict mode; it is never imported.

Each ignored error is an error that the checker must find: mypy and pyright report an ignore that hides no error.
"""

from typing import Any, assert_type

from jobpools import (
    App,
    ConfigurationError,
    Context,
    Discard,
    JobChanges,
    JobError,
    JobHandle,
    JobRecord,
    Middleware,
    Next,
    OutgoingJob,
    Retry,
    RetryAfter,
    ScheduleView,
    SearchPage,
    SettingsError,
    Snooze,
    results,
    results_sync,
)

app = App("shop")


@app.job
async def plain(_ctx: Context, to: str, copies: int = 1) -> str:
    return to * copies


@app.job(queue="emails", timeout="2m", priority="high")
async def with_options(to: str) -> int:
    return len(to)


@app.job
def threaded(_ctx: Context, n: int) -> list[int]:
    return [n]


@app.cron("0 6 * * *", time_zone="Europe/Berlin", args={"n": 1})
@app.job
def scheduled(n: int) -> int:
    return n


@app.middleware
class Tracing(Middleware):
    def before_enqueue(self, job: OutgoingJob) -> None:
        job.metadata["trace"] = job.id
        job.change(priority="low", tags=[*job.tags, "traced"])

    async def on_failure(self, _ctx: Context, error: BaseException) -> None:
        assert_type(error, BaseException)


class Counter(Middleware):
    def __init__(self, start: int) -> None:
        self.number = start

    async def before_run(self, ctx: Context) -> None:
        self.number += ctx.attempt


@app.middleware
async def around(_ctx: Context, call_next: Next) -> Any:
    return await call_next()


assert_type(app.middleware(Counter(1)), Counter)


async def valid_uses() -> None:
    assert_type(await plain.enqueue("ada"), JobHandle[str])
    assert_type(await plain.enqueue(to="ada", copies=2), JobHandle[str])
    assert_type(await (await with_options.enqueue("ada")).result(timeout=5), int)
    assert_type(threaded.enqueue_sync(7), JobHandle[list[int]])
    assert_type(await threaded.options(delay="10m", tags=["vip"]).enqueue(n=7), JobHandle[list[int]])
    plain.options(retry=Retry(initial="1s", max_attempts=5, on=[ConnectionError, "httpx.ConnectError"]))
    plain.options(retry=Retry(on=["network", "database"], on_timeout=False))
    assert_type(RetryAfter("30s").delay, float)
    assert_type(Snooze(600.0, "not ready").delay, float)
    assert_type(str(Discard()), str)
    plain.options(metadata={"tenant": 7, "trace": None})
    await app.enqueue_many([plain.call("ada"), plain.call("grace", copies=3)])
    assert_type(await app.scheduler.every("15m", plain.call("ada"), name="greet", catch_up="All"), ScheduleView)
    assert_type(await app.scheduler.cron("@daily", threaded.call(7), time_zone="Europe/Berlin"), ScheduleView)
    assert_type(await app.scheduler.list(), list[ScheduleView])
    assert_type(await app.scheduler.run("greet"), JobHandle[Any])
    assert_type(
        await app.scheduler.edit("greet", every="5m", timeout=9, args={"to": "bob"}, dry_run=True), ScheduleView
    )
    assert_type(app.scheduler.every_sync("15m", threaded.call(7), catch_up="All"), ScheduleView)
    assert_type(app.scheduler.list_sync(), list[ScheduleView])
    assert_type(app.scheduler.run_sync("greet"), JobHandle[Any])
    jobs = [await plain.enqueue("ada"), await plain.enqueue("grace")]
    async for job, text in app.results(jobs, timeout="1m"):
        assert_type(job, JobHandle[str])
        assert_type(text, str)
    async for _job, text_or_error in results(jobs, return_exceptions=True):
        assert_type(text_or_error, str | JobError)
    for job, text in results_sync(jobs, timeout="1m"):
        assert_type(job, JobHandle[str])
        assert_type(text, str)
    async for _job, text_or_error in app.results(jobs, return_exceptions=True):
        assert_type(text_or_error, str | JobError)
    for _job, text_or_error in app.results_sync(jobs, return_exceptions=True):
        assert_type(text_or_error, str | JobError)
    await app.enqueue_many([plain.call("ada"), with_options.call("grace"), threaded.call(1)])
    assert_type(await scheduled.enqueue(n=1), JobHandle[int])
    assert_type(await app.jobs.search(state=["dead", "queued"], tags=["vip"], created_after="2h"), SearchPage)
    assert_type(app.jobs.get_sync("order-1042"), JobRecord)
    assert_type(await app.jobs.retry(queue="emails", ended_after="2h", dry_run=True), JobChanges)
    assert_type(app.jobs.reschedule_sync("order-1042", delay="10m"), JobChanges)


def settings_errors(error: SettingsError) -> None:
    assert_type(error.problems, tuple[str, ...])
    _configuration: ConfigurationError = error


async def invalid_uses() -> None:
    await app.scheduler.edit("greet", timeuot=9)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await app.jobs.search(state="ded")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await app.jobs.search(quue="emails")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    app.middleware(7)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    await plain.enqueue()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await plain.enqueue(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await plain.enqueue("ada", copies="two")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await plain.enqueue("ada", extra=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await with_options.enqueue("ada", "grace")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    threaded.enqueue_sync("seven")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    plain.call(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    plain.options(priority="urgent")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    plain.options(metadata=["tenant"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    plain.options(dely="10m")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await plain.options(delay="10m").enqueue(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Retry(max_attemps=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    RetryAfter()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Snooze(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Retry(on=[int])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    App("shop", reddis="redis://")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    _number: int = await (await plain.enqueue("ada")).result()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
