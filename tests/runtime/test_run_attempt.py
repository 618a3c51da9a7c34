"""Whatever is raised between claim and settlement ends that attempt at once, under its own name, with its traceback."""

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import pydantic
import pytest

from jobpools import (
    App,
    Client,
    Context,
    JobDeadError,
    JobHandle,
    JobState,
    Retry,
)
from jobpools.core.jobs.job import History
from jobpools.options import Options
from jobpools.store.connection import connect
from jobpools.store.jobs import read_job
from jobpools.testing import run_until_idle
from tests.runtime.conftest import working
from tests.runtime.hostile import HOSTILE
from tests.support.waiting import until

ONCE = Retry(strategy="none")


MAX_DELAY = 10.0
"""Maximum seconds until an attempt ends; the timeouts of these jobs are 5 minutes."""


def create(factory: Callable[[], BaseException]) -> BaseException:
    return factory()


async def history(app: App, job: JobHandle[Any]) -> History:
    connection = connect(app.client.url)
    found = await read_job(connection, "default", job.id)
    await connection.aclose()
    assert found is not None
    return found.history


async def check_dead(
    app: App,
    job: JobHandle[Any],
    error: str | tuple[str, ...],
    caplog: pytest.LogCaptureFixture,
    frame: str = "test_run_attempt.py",
) -> str:
    """Run the job; check that it is dead after one attempt with this error, and that the log has the traceback."""
    caplog.clear()
    begun = time.monotonic()
    with caplog.at_level(logging.INFO, "jobpools.worker"):
        await run_until_idle(app)
    assert time.monotonic() - begun < MAX_DELAY
    assert await job.state() is JobState.DEAD
    past = await history(app, job)
    assert past.attempts == 1
    (attempt,) = past.entries
    assert attempt.error.endswith(error), attempt
    assert "\n" not in attempt.error + attempt.message + past.note
    assert attempt.traceback
    warnings = (each for each in caplog.records if each.levelno >= logging.WARNING)
    # On a busy machine it takes long to describe a huge error, and the log says that the job blocked the event loop.
    (line,) = (each for each in warnings if f"{job.id}: it blocked" not in each.getMessage())
    assert job.id in line.getMessage()
    assert "\n" not in line.getMessage()
    assert line.exc_text
    assert frame in line.exc_text or len(line.exc_text) > 7000, line.exc_text
    return f"{attempt.error}: {attempt.message}"


NAMES = {
    "class": "MuteClassError", "exit in text": "ExitInTextError", "attributes raise": "RaisingAttributesError",
    "attributes recurse": "RecursingAttributesError", "class raises": "RaisingClassError", "notes": "NotesError",
    "trace": "TraceError", "odd text": "OddTextError", "chain": "ValueError", "circle": "ValueError",
    "groups": "ExceptionGroup", "name": "Two lines", "huge": "ValueError", "surrogate": "ValueError",
    "syntax": "SyntaxError", "recursion": "RecursionError", "memory": "MemoryError", "stop": "RuntimeError",
    "stop async": "StopAsyncIteration", "generator exit": "GeneratorExit", "exit": "SystemExit",
    "interrupt": "KeyboardInterrupt",
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
async def test_an_error_of_a_coroutine_ends_its_attempt_under_its_own_name(
    app: App, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    @app.job(retry=ONCE)
    async def fail() -> None:
        raise create(HOSTILE[kind])

    await check_dead(app, await fail.enqueue(), NAMES[kind], caplog)


@pytest.mark.parametrize("kind", HOSTILE)
async def test_an_error_of_a_plain_function_ends_its_attempt_under_its_own_name(
    app: App, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    @app.job(retry=ONCE)
    def fail() -> None:
        raise create(HOSTILE[kind])

    await check_dead(app, await fail.enqueue(), NAMES[kind], caplog)


@pytest.mark.parametrize("kind", ["attributes recurse", "exit", "class raises", "memory"])
async def test_an_error_of_a_middleware_ends_the_attempt(app: App, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    @app.middleware
    async def around(_ctx: Context, call_next: Callable[[], Awaitable[Any]]) -> Any:
        await call_next()
        raise create(HOSTILE[kind])

    @app.job(retry=ONCE)
    async def noop() -> None: ...

    await check_dead(app, await noop.enqueue(), NAMES[kind], caplog)


VALIDATION: dict[str, Callable[[], BaseException]] = {
    "key": KeyError, "recursion": RecursionError, "exit": SystemExit, "interrupt": KeyboardInterrupt,
    "attributes": HOSTILE["attributes recurse"], "cancelled": asyncio.CancelledError,
}  # fmt: skip


@pytest.mark.parametrize("kind", VALIDATION)
async def test_an_error_of_a_validator_ends_the_attempt_before_the_handler_runs(
    app: App, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    def check(_value: str) -> str:
        raise create(VALIDATION[kind])

    ran: list[str] = []

    @app.job(retry=ONCE)
    async def read(name: Annotated[str, pydantic.AfterValidator(check)]) -> None:
        ran.append(name)

    job = await app.client.enqueue(app.client.call_json("read", {"name": "x"}, Options(queue="default")))
    wanted = {"key": "KeyError", "recursion": "RecursionError", "exit": "SystemExit", "interrupt": "KeyboardInterrupt",
              "attributes": "RecursingAttributesError", "cancelled": "CancelledError"}  # fmt: skip
    await check_dead(app, job, wanted[kind], caplog)
    assert not ran


class RaisingClassResult:
    """A result whose `__class__` raises, and that has no JSON form."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    @property
    def __class__(self) -> Any:
        raise self.error("no class")

    @__class__.setter
    def __class__(self, _kind: Any) -> None: ...


RESULTS = {"KeyError": KeyError, "RecursionError": RecursionError, "MemoryError": MemoryError, "SystemExit": SystemExit}


@pytest.mark.parametrize("kind", RESULTS)
async def test_an_error_of_a_serializer_makes_the_job_dead(
    app: App, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    def written(_value: str) -> str:
        raise RESULTS[kind]("no")

    ran: list[int] = []

    @app.job(retry=Retry(max_attempts=3, strategy="fixed", initial=0))
    async def answer() -> Annotated[str, pydantic.PlainSerializer(written)]:
        ran.append(1)
        return "done"

    message = await check_dead(app, await answer.enqueue(), ("TypeError", kind), caplog, frame=".py")
    assert kind in message
    assert ran == [1], "the job ran once, because its work was done"


@pytest.mark.parametrize("executor", ["coroutine", "plain"])
@pytest.mark.parametrize("error", [RuntimeError, SystemExit])
async def test_a_result_whose_class_attribute_raises_ends_the_attempt(
    app: App, executor: str, error: type[BaseException]
) -> None:
    if executor == "plain":

        @app.job(retry=ONCE, result_ttl=60)
        def answer() -> Any:
            return RaisingClassResult(error)

    else:

        @app.job(retry=ONCE, result_ttl=60)  # type: ignore[no-redef]  # one of the two
        async def answer() -> Any:
            return RaisingClassResult(error)

    job = await answer.enqueue()
    begun = time.monotonic()
    await run_until_idle(app)
    assert time.monotonic() - begun < MAX_DELAY
    assert await job.state() is JobState.DEAD
    assert "Timeout" not in (await history(app, job)).note


async def test_an_error_in_a_task_group_is_named_in_the_message(app: App, caplog: pytest.LogCaptureFixture) -> None:
    @app.job(retry=ONCE)
    async def fail() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(functools.partial(asyncio.sleep, 60)())
            group.create_task(raising())

    async def raising() -> None:
        raise ValueError("no such address")

    message = await check_dead(app, await fail.enqueue(), "ExceptionGroup", caplog)
    assert "ValueError: no such address" in message


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("args", [{"name": 7}, {}, {"name": "ada", "nme": 1}])
async def test_invalid_arguments_make_the_job_dead_at_once(app: App, args: dict[str, Any]) -> None:
    @app.job
    async def greet(name: str) -> None: ...

    sender = Client(app.client.url)  # of another version of the code
    job = await sender.enqueue(sender.call_json("greet", args, Options(queue="default")))
    await run_until_idle(app)
    with pytest.raises(JobDeadError, match=r"dead after 1 attempt: jobpools\.errors\.ArgumentsError: greet: n"):
        await job.result()
    await sender.aclose()


async def test_a_result_that_is_too_large_or_not_json_is_not_retried(app: App) -> None:
    runs: list[str] = []

    @app.job
    async def large() -> str:
        runs.append("large")
        return "x" * 3000

    @app.job
    async def strange() -> Any:
        runs.append("strange")
        return object()

    @app.job(result_ttl=0)
    async def unread() -> str:
        runs.append("unread")
        return "x" * 3000

    jobs = [await large.enqueue(), await strange.enqueue(), await unread.enqueue()]
    async with working(app, max_payload=2000) as worker:
        await until(lambda: worker.metrics.completed + worker.metrics.failed == 3)
        await until(lambda: not worker.parts.consumers[0].leases.attempts)
    with pytest.raises(JobDeadError, match="the result takes 3002 bytes, more than 2000; return a reference to it"):
        await jobs[0].result()
    with pytest.raises(JobDeadError, match="the result of strange is not JSON"):
        await jobs[1].result()
    assert sorted(runs) == ["large", "strange", "unread"]


@pytest.mark.parametrize("error", [MuteError(), FileNotFoundError("caf\udce9.csv")])
async def test_the_worker_continues_after_an_error_that_is_hard_to_describe(app: App, error: Exception) -> None:
    @app.job(retry=Retry(strategy="none"))
    async def fail() -> None:
        raise error

    @app.job
    async def noop() -> None: ...

    async with working(app):
        job = await fail.enqueue()
        with pytest.raises(JobDeadError, match=type(error).__name__):
            await job.result(timeout=5)
        await (await noop.enqueue()).result(timeout=5)
