"""Jobs that block their worker's event loop in several ways, and jobs that must not time out because of it."""

import asyncio
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from jobpools import App, Context, Retry

app = App("blockers", queue="blockers")
ONCE = Retry(strategy="none")


def _sleep(seconds: float) -> None:
    time.sleep(seconds)


def _socket(seconds: float) -> None:
    """Wait for an answer that never arrives, as a client library without asyncio does."""
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.settimeout(seconds)
        client.connect(server.getsockname())
        try:
            client.recv(1)
        except TimeoutError:
            return


def _compute(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sum(range(1000))


def _regex(_seconds: float) -> None:
    """Hold the GIL for about 3 s."""
    re.match(r"(a|a)*b", "a" * 24)


def _lock(seconds: float) -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire(timeout=seconds)


class _Closing:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __del__(self) -> None:
        time.sleep(self.seconds)


def _delete(seconds: float) -> None:
    closing = _Closing(seconds)
    del closing


WAYS: dict[str, Callable[[float], None]] = {
    "sleep": _sleep, "socket": _socket, "compute": _compute, "lock": _lock, "delete": _delete,
}  # fmt: skip


async def _in_a_task(seconds: float) -> None:
    _sleep(seconds)


@app.job(retry=ONCE)
async def block(ctx: Context, how: str, seconds: float, times: int = 1) -> str:
    for _ in range(times):
        match how:
            case "task":
                await asyncio.create_task(_in_a_task(seconds))
            case "group":
                async with asyncio.TaskGroup() as group:
                    group.create_task(_in_a_task(seconds))
            case "callback":
                asyncio.get_running_loop().call_soon(_sleep, seconds)
                await asyncio.sleep(0)
            case "service":
                ctx.service(slow).wait(seconds)
            case "middleware":
                pass
            case _:
                WAYS[how](seconds)
        await asyncio.sleep(0.15 if times > 1 else 0)
    return "done"


@app.job(retry=ONCE)
async def block_and_fail(seconds: float) -> None:
    time.sleep(seconds)  # noqa: ASYNC251  # the subject
    raise ValueError("after all")


@app.job(retry=ONCE, timeout=1)
async def block_for_too_long(seconds: float) -> None:
    time.sleep(seconds)  # noqa: ASYNC251  # the subject
    await asyncio.sleep(60)


@app.job(retry=ONCE)
async def hold_the_gil() -> str:
    _regex(0)
    return "done"


@app.job(retry=ONCE, timeout=2)
async def neighbour(seconds: float) -> str:
    for _ in range(4):
        await asyncio.sleep(seconds / 4)
    return "done"


@app.job(retry=ONCE, timeout=2)
def plain_neighbour(seconds: float) -> str:
    time.sleep(seconds)
    return "done"


class Slow:
    def wait(self, seconds: float) -> None:
        time.sleep(seconds)


@app.service
async def slow() -> AsyncIterator[Slow]:
    yield Slow()


@app.middleware
async def around(ctx: Context, call_next: Callable[[], Awaitable[Any]]) -> Any:
    if "middleware" in ctx.tags:
        time.sleep(3)  # noqa: ASYNC251  # the subject
    return await call_next()
