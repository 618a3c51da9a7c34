"""Code of ended attempts that still runs is counted until it ends; the next attempt of its job waits for that."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from jobpools.runtime.attempt import Attempt
from jobpools.runtime.current_attempt import current_attempt
from jobpools.runtime.left_behind import Executor, LeftBehind
from tests.runtime.harness import SlotsHarness
from tests.support.waiting import until


async def handler(_ctx: Any, _args: dict[str, Any]) -> None: ...


@pytest.fixture
def attempt() -> Attempt:
    return SlotsHarness(handler).attempt("lease")


@pytest.fixture
def left_behind() -> LeftBehind:
    return LeftBehind()


@pytest.fixture
def executor(left_behind: LeftBehind) -> Iterator[Executor]:
    with Executor(left_behind) as made:
        yield made


def test_each_piece_of_code_is_counted_until_it_ends(left_behind: LeftBehind) -> None:
    left_behind.add("a")
    left_behind.add("a")
    left_behind.add("b")
    assert left_behind.count == 3
    left_behind.remove("a")
    assert "a" in left_behind, "one of the two still runs"
    left_behind.remove("a")
    left_behind.remove("b")
    assert (left_behind.count, bool(left_behind), "a" in left_behind) == (0, False, False)


async def test_a_coroutine_is_counted_until_it_ends(left_behind: LeftBehind) -> None:
    ended = asyncio.Event()
    task = asyncio.create_task(ended.wait())
    left_behind.add_task(task, "a")  # type: ignore[arg-type]  # of any result
    assert (left_behind.tasks, "a" in left_behind) == (1, True)
    ended.set()
    await task
    await until(lambda: not left_behind)
    assert left_behind.tasks == 0


async def test_a_coroutine_that_has_ended_is_not_counted(left_behind: LeftBehind) -> None:
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    left_behind.add_task(task, "a")
    left_behind.add_task(None, "b")
    assert not left_behind


async def test_a_call_in_a_thread_is_counted_after_its_attempt_until_it_returns(
    executor: Executor, left_behind: LeftBehind, attempt: Attempt
) -> None:
    started, may_end = threading.Event(), threading.Event()

    def call() -> None:
        started.set()
        may_end.wait()

    current_attempt.set(attempt)
    running = executor.submit(call)
    assert await asyncio.to_thread(started.wait, 10)
    assert not left_behind, "its attempt runs"
    executor.ended(attempt)
    assert attempt.envelope.id in left_behind
    assert executor.drained(0.01) is False
    may_end.set()
    assert executor.drained(10) is True
    running.result()
    await until(lambda: not left_behind)


async def test_a_call_of_another_attempt_is_not_counted(
    executor: Executor, left_behind: LeftBehind, attempt: Attempt
) -> None:
    current_attempt.set(attempt)
    executor.submit(int).result()
    executor.ended(SlotsHarness(handler).attempt("other"))
    assert not left_behind
