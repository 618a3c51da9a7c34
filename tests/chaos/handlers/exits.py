"""Jobs that raise what ends a process or an event loop, wherever a handler can raise it."""

import asyncio
import concurrent.futures
import contextlib
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, NoReturn

from jobpools import App, Context, Retry

app = App("exits", queue="exits")
ONCE = Retry(strategy="none")
RAISES = {"exit": SystemExit, "interrupt": KeyboardInterrupt, "generator": GeneratorExit,
          "cancelled": asyncio.CancelledError}  # fmt: skip


def leave(what: str = "exit") -> NoReturn:
    if what == "exit":
        sys.exit(3)
    raise RAISES[what]("by the handler")


async def leaving(what: str = "exit") -> NoReturn:
    await asyncio.sleep(0)
    leave(what)


async def _group(what: str) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(60))
        group.create_task(leaving(what))


async def _gather(what: str) -> None:
    await asyncio.gather(asyncio.sleep(60), leaving(what))


async def _gathered_with_errors(what: str) -> None:
    await asyncio.gather(asyncio.sleep(60), leaving(what), return_exceptions=True)


async def _orphan(what: str) -> None:
    task = asyncio.create_task(leaving(what))
    await asyncio.sleep(60)
    await task


async def _task_of_a_task(what: str) -> None:
    async def start() -> None:
        task = asyncio.create_task(leaving(what))
        await asyncio.sleep(60)
        await task

    task = asyncio.create_task(start())
    await asyncio.sleep(60)
    await task


async def _call_soon(what: str) -> None:
    asyncio.get_running_loop().call_soon(leave, what)
    await asyncio.sleep(60)


async def _call_later(what: str) -> None:
    asyncio.get_running_loop().call_later(0.01, leave, what)
    await asyncio.sleep(60)


async def _done_callback(what: str) -> None:
    task = asyncio.create_task(asyncio.sleep(0))
    task.add_done_callback(lambda _task: leave(what))
    await asyncio.sleep(60)


async def _executor(what: str) -> None:
    await asyncio.get_running_loop().run_in_executor(None, leave, what)


async def _own_executor(what: str) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        await asyncio.get_running_loop().run_in_executor(pool, leave, what)


async def _to_thread(what: str) -> None:
    await asyncio.to_thread(leave, what)


async def _wait_for(what: str) -> None:
    await asyncio.wait_for(leaving(what), 60)


async def _from_a_thread(what: str) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(loop.call_soon_threadsafe, leave, what)
    await asyncio.sleep(60)


async def _generator(what: str) -> None:
    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            leave(what)

    async for _ in numbers():
        break
    gc.collect()
    await asyncio.sleep(60)


async def _context_manager(what: str) -> None:
    @contextlib.asynccontextmanager
    async def around() -> AsyncIterator[None]:
        yield
        leave(what)

    async with around():
        pass


async def _own(what: str) -> None:
    leave(what)


ASYNC: dict[str, Callable[[str], Any]] = {
    "own": _own, "group": _group, "gather": _gather, "gathered with errors": _gathered_with_errors,
    "orphan": _orphan, "task of a task": _task_of_a_task, "call_soon": _call_soon, "call_later": _call_later,
    "done callback": _done_callback, "executor": _executor, "own executor": _own_executor, "to_thread": _to_thread,
    "wait_for": _wait_for, "from a thread": _from_a_thread, "generator": _generator,
    "context manager": _context_manager,
}  # fmt: skip


@app.job(retry=ONCE)
async def leave_async(how: str, what: str) -> None:
    await ASYNC[how](what)


@app.job(retry=ONCE)
def leave_plain(what: str) -> None:
    leave(what)


@app.job(retry=ONCE)
async def disturb(how: str) -> str:
    """Call a method of the event loop that only its owner may call."""
    loop = asyncio.get_running_loop()
    match how:
        case "stop":
            loop.stop()
        case "shutdown_default_executor":
            await loop.shutdown_default_executor()
        case "shutdown_asyncgens":
            await loop.shutdown_asyncgens()
        case "close":
            loop.close()
        case "run":
            loop.run_until_complete(asyncio.sleep(0))
        case "asyncio.run":
            asyncio.run(asyncio.sleep(0))
        case "cancel itself":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
    return "done"


@app.job(retry=ONCE)
async def uses_a_thread() -> str:
    return await asyncio.to_thread(lambda: "done")


@app.job(retry=ONCE)
async def cancel_all(*, itself: bool) -> str:
    """Cancel all tasks, as programs do when they end."""
    for each in asyncio.all_tasks():
        if itself or each is not asyncio.current_task():
            each.cancel()
    await asyncio.sleep(0.1)
    return "done"


@app.job(retry=ONCE)
async def stop_later(how: str) -> str:
    """Stop the event loop from code whose exceptions do not reach the handler."""
    loop = asyncio.get_running_loop()
    match how:
        case "callback":
            loop.call_soon(loop.stop)
        case "thread":
            thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(type(loop).stop, loop))
            thread.start()
            thread.join()
        case "exit in a thread":
            thread = threading.Thread(target=leave)
            thread.start()
            thread.join()
        case "callback of a thread":
            thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(leave))
            thread.start()
            thread.join()
    await asyncio.sleep(0.05)
    return "done"


@app.job
async def leaves_a_task_behind() -> str:
    async def later() -> None:
        await asyncio.sleep(0.2)
        leave()

    tasks.add(asyncio.create_task(later()))
    return "done"


tasks: set[asyncio.Task[None]] = set()


class AlarmError(Exception):
    """An error that is not SystemExit or KeyboardInterrupt."""


def ring(*_: object) -> NoReturn:
    raise AlarmError("ring")


@app.job(retry=ONCE)
async def exits_many_times(times: int) -> None:
    """Exit many times, with no other code between the exits."""
    for _ in range(times):
        asyncio.get_running_loop().call_soon(leave)
    await asyncio.sleep(60)


if "JOBPOOLS_ALARM" in os.environ:

    @app.service
    async def alarm() -> AsyncIterator[None]:
        signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        yield


@app.job(retry=ONCE)
async def sets_an_alarm(seconds: float, again: float) -> str:
    """Wait while an alarm is set, so that no code of this job runs when the signal arrives."""
    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, again)
    try:
        await asyncio.sleep(60)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return "done"


@app.job(retry=ONCE)
async def spins(ctx: Context, seconds: float) -> int:
    """Keep the event loop busy."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:  # noqa: ASYNC110  # the subject
        await asyncio.sleep(0)
    return ctx.attempt


@app.job(retry=ONCE)
async def closes_descriptors() -> None:
    """Close descriptors, as programs do that become daemons; those of the event loop are among them."""
    os.closerange(3, 100)
    await asyncio.sleep(60)


@app.job
async def neighbour(ctx: Context, seconds: float) -> int:
    await asyncio.sleep(seconds)
    return ctx.attempt


@app.job
async def exits_when_cancelled() -> str:
    async def wait() -> None:
        try:
            await asyncio.sleep(600)
        finally:
            leave()

    tasks.add(asyncio.create_task(wait()))
    await asyncio.sleep(0)
    return "done"
