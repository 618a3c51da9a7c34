"""Jobs that start processes in several ways, and return how these ended."""

import asyncio
import atexit
import contextlib
import ctypes
import multiprocessing
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import BaseContext
from typing import Any

from jobpools import App, Context, Middleware, Retry

app = App("children", queue="children")
if os.environ.get("HANGS_AT_EXIT"):
    atexit.register(time.sleep, 600)
ONCE = Retry(strategy="none")
SIGNALS = {"is interrupted": signal.SIGINT, "is told to end": signal.SIGTERM, "hangs up": signal.SIGHUP}


def note(ctx: Context, what: object) -> None:
    """Append a line to a file that outlives every process."""
    with open(os.environ["JOBPOOLS_NOTES"], "a") as file:  # noqa: PTH123  # one write to a file opened for appending
        file.write(f"{ctx.id} {os.getpid()} {what}\n")


@app.middleware
class EndNotes(Middleware):
    """Notes the end of each attempt. With the metadata `fork`, it forks before and after the attempt."""

    def before_run(self, ctx: Context) -> None:
        if "fork" in ctx.metadata and (pid := os.fork()):
            os.waitpid(pid, 0)

    def after_run(self, ctx: Context, _result: object) -> None:
        if "fork" in ctx.metadata:
            if (pid := os.fork()) == 0:
                return
            os.waitpid(pid, 0)
        note(ctx, "ended")

    def on_failure(self, ctx: Context, _error: BaseException) -> None:
        note(ctx, "ended")


def ended(pid: int) -> str:
    """Wait for a child of this process; return its exit code as text."""
    _, status = os.waitpid(pid, 0)
    return str(os.waitstatus_to_exitcode(status))


def square(number: int) -> int:
    return number * number


def sleep_on(_: int = 0) -> None:
    time.sleep(600)


@app.job(retry=ONCE)
async def neighbour(ctx: Context, seconds: float) -> str:
    note(ctx, "begun")
    await asyncio.sleep(seconds)
    return "done"


async def _in_child(what: str) -> None:
    match what:
        case "raises":
            raise ValueError("of the child")
        case "exits":
            sys.exit(3)
        case "exits with a text":
            sys.exit("no")
        case "awaits":
            await asyncio.sleep(0)
        case "runs a loop of its own":
            asyncio.run(asyncio.sleep(0.01))
        case _ if what in SIGNALS:
            os.kill(os.getpid(), SIGNALS[what])
            time.sleep(1)  # noqa: ASYNC251  # the child waits for its end


@app.job(retry=ONCE)
async def forks_in_an_executor(ctx: Context, what: str) -> str:
    note(ctx, "begun")

    def fork() -> int:
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(StopIteration):
                _in_child(what).send(None)
        return pid

    return await asyncio.to_thread(ended, await asyncio.to_thread(fork))


@app.job(retry=ONCE)
def sends_an_end(method: str) -> list[int | None]:
    """Send functions that end a process to other processes, by name."""
    context: Any = multiprocessing.get_context(method)
    processes = [
        context.Process(target=os._exit, args=(4,)),
        context.Process(target=os.abort),
        context.Process(target=signal.raise_signal, args=(signal.SIGTERM,)),
    ]
    for each in processes:
        each.start()
        each.join()
    return [each.exitcode for each in processes]


@app.job(retry=ONCE)
async def forks(ctx: Context, what: str) -> str:
    note(ctx, "begun")
    pid = os.fork()
    if pid == 0:
        await _in_child(what)
        return "of the child"
    return await asyncio.to_thread(ended, pid)


@app.job(retry=ONCE)
def forks_in_a_thread(ctx: Context, what: str) -> str:
    note(ctx, "begun")
    pid = os.fork()
    if pid == 0:
        try:
            _in_child(what).send(None)
        except StopIteration:
            return "of the child"
    return ended(pid)


@app.job(retry=ONCE)
async def forks_a_terminal(ctx: Context) -> str:
    note(ctx, "begun")
    pid, terminal = pty.fork()
    if pid == 0:
        return "of the child"
    how = await asyncio.to_thread(ended, pid)
    os.close(terminal)
    return how


@app.job(retry=ONCE)
async def daemonizes(ctx: Context) -> str:
    note(ctx, "begun")
    pid = os.fork()
    if pid == 0:
        if os.fork():
            os._exit(0)
        note(ctx, "daemon")
        sleep_on()
    return await asyncio.to_thread(ended, pid)


def _processes(context: BaseContext) -> str:
    several = [context.Process(target=sleep_on) for _ in range(3)]  # type: ignore[attr-defined]  # of each context
    for each in several:
        each.start()
    for each in several:
        each.terminate()
    for each in several:
        each.join()
    return " ".join(str(each.exitcode) for each in several)


def _pool(context: BaseContext) -> str:
    pool = context.Pool(2)
    found = pool.map(square, range(4))
    pool.map_async(sleep_on, range(2))
    pool.terminate()
    pool.join()
    return str(found)


def _executor(context: BaseContext) -> str:
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        return str(list(pool.map(square, range(4))))


_one_at_a_time = threading.Lock()
WAYS: dict[str, Callable[[BaseContext], str]] = {"processes": _processes, "pool": _pool, "executor": _executor}


@app.job(retry=ONCE)
async def multiprocesses(ctx: Context, way: str, method: str) -> str:
    """Use multiprocessing in the thread of the event loop."""
    note(ctx, "begun")
    return WAYS[way](multiprocessing.get_context(method))


@app.job(retry=ONCE)
def multiprocesses_in_a_thread(ctx: Context, way: str, method: str) -> str:
    note(ctx, "begun")
    # In turns: Process.start() polls the children of other threads too, and when two threads wait for one child, one of
    # them may find None as its exit code. Without a worker around it: in 28 of 600 groups of three in four threads.
    with _one_at_a_time:
        return WAYS[way](multiprocessing.get_context(method))


@app.job(retry=ONCE)
async def runs_programs(ctx: Context) -> str:
    note(ctx, "begun")
    one = await asyncio.create_subprocess_exec("sleep", "600")
    one.terminate()
    other = subprocess.Popen(["sleep", "600"])  # noqa: ASYNC220  # on purpose
    other.terminate()
    third = subprocess.Popen(["sh", "-c", "exit 5"], start_new_session=True)  # noqa: ASYNC220  # on purpose
    codes = [await one.wait(), await asyncio.to_thread(other.wait), await asyncio.to_thread(third.wait)]
    codes.append(os.waitstatus_to_exitcode(os.system("exit 4")))  # noqa: ASYNC221, S605  # on purpose
    return " ".join(map(str, codes))


@app.job(retry=ONCE)
async def leaves_some_behind(ctx: Context, method: str) -> str:
    """Children that keep an interpreter from ending, that have a session of their own, and that ignore SIGTERM."""
    context = multiprocessing.get_context(method)
    process = context.Process(target=sleep_on, daemon=False)  # type: ignore[attr-defined]  # of each context
    process.start()
    note(ctx, f"child {process.pid}")
    for command in (["sleep", "600"], ["sh", "-c", "trap '' TERM; sleep 600 & wait; sleep 600"]):
        started = subprocess.Popen(command, start_new_session=True)  # noqa: ASYNC220  # on purpose
        note(ctx, f"child {started.pid}")
    return "started"


@app.job(retry=ONCE)
async def holds_the_gil(ctx: Context, seconds: int) -> str:
    """Hold the GIL, as a C extension can that never releases it."""
    note(ctx, "begun")
    ctypes.PyDLL(None).sleep(seconds)
    return "done"
