"""Threads for plain functions: limited, with the task's context, and left behind when their attempt is stopped."""

import asyncio
import contextvars
import functools
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from jobpools import App, JobDeadError, Retry
from jobpools.runtime.threads import Threads
from jobpools.testing import run_until_idle
from tests.support.waiting import until

who: contextvars.ContextVar[str] = contextvars.ContextVar("who")


async def test_a_call_returns_raises_and_sees_the_tasks_context() -> None:
    threads = Threads(1)
    who.set("ada")
    assert await threads.run(lambda a, b: (a, b, who.get()), (1,), {"b": 2}) == (1, 2, "ada")
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 / 0, (), {})


async def test_a_context_variable_set_in_a_call_stays_in_the_call() -> None:
    threads = Threads(1)
    who.set("ada")
    await threads.run(lambda: who.set("grace"), (), {})
    assert who.get() == "ada"


async def test_stop_iteration_is_an_error_like_any_other() -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await Threads(1).run(lambda: next(iter(())), (), {})


async def test_system_exit_of_a_call_is_raised_in_the_task_and_the_thread_continues() -> None:
    threads = Threads(1)

    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        await threads.run(leave, (), {})
    assert await threads.run(threading.get_ident, (), {}) != threading.get_ident()


async def test_threads_are_started_when_needed_and_reused_up_to_the_limit() -> None:
    threads = Threads(3)
    assert len({await threads.run(threading.get_ident, (), {}) for _ in range(20)}) <= 3
    running = most = 0
    lock = threading.Lock()

    def work() -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1
        return threading.get_ident()

    used = await asyncio.gather(*[threads.run(work, (), {}) for _ in range(20)])
    assert (most, len(set(used))) == (3, 3)


async def test_a_running_call_that_is_cancelled_is_left_behind_and_its_thread_replaced() -> None:
    threads, go_on, begun = Threads(1), threading.Event(), threading.Event()

    def block() -> None:
        begun.set()
        go_on.wait(5)

    task = asyncio.create_task(threads.run(block, (), {}))
    await until(begun.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert threads.left_behind == 1
    assert await threads.run(lambda: "served", (), {}) == "served"
    go_on.set()
    await until(lambda: threads.left_behind == 0)
    assert await asyncio.gather(*[threads.run(lambda: 1, (), {}) for _ in range(5)]) == [1] * 5


async def test_a_waiting_call_that_is_cancelled_is_dropped() -> None:
    threads, go_on, ran = Threads(1), threading.Event(), []
    first = asyncio.create_task(threads.run(go_on.wait, (5,), {}))
    second = asyncio.create_task(threads.run(lambda: ran.append(1), (), {}))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    go_on.set()
    assert await first
    assert await threads.run(lambda: "next", (), {}) == "next"
    assert (ran, threads.left_behind) == ([], 0)


async def test_a_call_that_had_ended_when_it_was_cancelled_leaves_nothing_behind() -> None:
    threads = Threads(1)
    for _ in range(3):
        task = asyncio.create_task(threads.run(lambda: "late", (), {}))
        next_began = threading.Event()
        following = asyncio.create_task(threads.run(next_began.set, (), {}))
        await asyncio.sleep(0)  # both calls are submitted
        assert next_began.wait(5)  # the only thread has ended the first call, and the loop has not run since
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await following
    assert threads.left_behind == 0
    assert await threads.run(lambda: "served", (), {}) == "served"


def test_a_thread_that_outlives_its_event_loop_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def block() -> None:
        begun.set()
        go_on.wait(5)
        ended.set()

    async def abandon() -> None:
        task = asyncio.create_task(Threads(1).run(block, (), {}))
        await until(begun.is_set)
        task.cancel()

    asyncio.run(abandon())
    go_on.set()
    assert ended.wait(5)
    assert caplog.records == []


async def test_a_coroutine_function_hidden_by_a_plain_decorator_fails_the_job(app: App) -> None:
    """Without a result to encode, such a job would complete although its code never ran."""
    ran: list[int] = []

    def plain(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def around(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return around

    @app.job(result_ttl=0, retry=Retry(strategy="none"))
    @plain
    async def hidden() -> None:
        ran.append(1)

    job = await hidden.enqueue()
    await run_until_idle(app)
    with pytest.raises(JobDeadError, match="TypeError: it returned a coroutine, which never ran"):
        await job.result()
    assert not ran
