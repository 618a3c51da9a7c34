"""The worker's event loop: code of a job that raises out of it or stops it fails the job, and the loop runs on."""

import asyncio
import contextvars
import logging
import subprocess
import sys
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

import pytest

from jobpools.runtime import event_loop
from jobpools.runtime.attempt import Attempt
from jobpools.runtime.current_attempt import current_attempt
from tests.runtime.harness import SlotsHarness
from tests.support.workers import ROOT

Blamed = list[tuple[Attempt, BaseException]]


async def handler(_ctx: Any, _args: dict[str, Any]) -> None: ...


@pytest.fixture
def attempt() -> Attempt:
    return SlotsHarness(handler).attempt("lease")


def in_attempt(attempt: Attempt) -> contextvars.Context:
    """Return the context of the attempt's code."""
    context = contextvars.copy_context()
    context.run(current_attempt.set, attempt)
    return context


def run(main: Coroutine[Any, Any, Any]) -> tuple[Any, Blamed]:
    """Run `main`; return its result, and the attempts that were blamed."""
    blamed: Blamed = []
    result = event_loop.run(main, lambda attempt, error: blamed.append((attempt, error)))
    return result, blamed


def raising(error: BaseException) -> Callable[[], NoReturn]:
    def callback() -> NoReturn:
        raise error

    return callback


async def next_turn() -> None:
    """Return after the callbacks that are scheduled now have run."""
    turned = asyncio.Event()
    asyncio.get_running_loop().call_soon(turned.set)
    await turned.wait()


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_an_exit_in_a_task_is_blamed_on_its_job(attempt: Attempt, error: BaseException) -> None:
    async def leave() -> None:
        raise error

    async def main() -> str:
        task = asyncio.create_task(leave(), context=in_attempt(attempt))
        await asyncio.wait([task])
        assert task.exception() is error
        return "the worker continues"

    assert run(main()) == ("the worker continues", [(attempt, error)])


def test_an_exit_in_a_callback_is_blamed_on_its_job(attempt: Attempt) -> None:
    error = SystemExit("bye")

    async def main() -> str:
        asyncio.get_running_loop().call_soon(raising(error), context=in_attempt(attempt))
        await next_turn()
        return "the worker continues"

    assert run(main()) == ("the worker continues", [(attempt, error)])


def test_an_exit_that_belongs_to_no_job_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> str:
        asyncio.get_running_loop().call_soon(raising(SystemExit(1)))
        await next_turn()
        return "the worker continues"

    assert run(main()) == ("the worker continues", [])
    assert "code that belongs to no job raised SystemExit" in caplog.text


def test_ctrl_c_of_the_user_ends_the_loop() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon(raising(KeyboardInterrupt()))
        await asyncio.Event().wait()

    with pytest.raises(KeyboardInterrupt):
        run(main())


@pytest.mark.parametrize("name", ["stop", "shutdown_default_executor", "shutdown_asyncgens"])
def test_a_job_cannot_stop_the_loop(attempt: Attempt, name: str) -> None:
    async def stop() -> None:
        getattr(asyncio.get_running_loop(), name)()

    async def main() -> BaseException | None:
        task = asyncio.create_task(stop(), context=in_attempt(attempt))
        await asyncio.wait([task])
        return task.exception()

    error, blamed = run(main())
    assert str(error) == f"loop.{name}(): the event loop belongs to the worker; a job must not stop it"
    assert blamed == []


def test_an_error_in_a_callback_is_logged_with_its_job(attempt: Attempt, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon(raising(ValueError("wrong")), context=in_attempt(attempt))
        await next_turn()

    caplog.set_level(logging.ERROR, "asyncio")
    assert run(main()) == (None, [])
    assert f"{attempt}: Exception in callback" in caplog.text


def test_tasks_that_jobs_left_are_cancelled_at_the_end_whatever_they_raise(attempt: Attempt) -> None:
    ended = []

    async def lingering() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")
            sys.exit(1)

    async def main() -> str:
        asyncio.get_running_loop()._left = asyncio.create_task(lingering(), context=in_attempt(attempt))  # type: ignore[attr-defined]  # a reference
        await next_turn()
        return "done"

    result, blamed = run(main())
    assert result == "done"
    assert ended == ["cancelled"]
    assert [each for each, _ in blamed] == [attempt]


BROKEN = """
import asyncio, logging
from jobpools.runtime import event_loop

async def main():
    asyncio.get_running_loop()._selector.close()  # as a job does that closes all descriptors
    await asyncio.sleep(60)

logging.basicConfig()
event_loop.run(main(), lambda attempt, error: None)
"""


def test_a_loop_that_cannot_run_any_more_ends_the_process() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", BROKEN], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert "the event loop broke; the worker ends, and its jobs run again" in ended.stderr
