"""Jobs that end their worker's process in several ways, and jobs that do not."""

import asyncio
import ctypes
import os
import signal
from collections.abc import Callable

from jobpools import App, Context, Retry
from tests.chaos.handlers.children import note

app = App("deadly", queue="deadly")
ONCE = Retry(strategy="none")


@app.job(retry=ONCE)
async def neighbour(ctx: Context, seconds: float) -> str:
    note(ctx, "begun")
    await asyncio.sleep(seconds)
    return "done"


@app.job(retry=ONCE)
def neighbour_in_a_thread(ctx: Context, seconds: float) -> str:
    note(ctx, "begun")
    import time

    time.sleep(seconds)
    return "done"


WAYS: dict[str, Callable[[], object]] = {
    "_exit": lambda: os._exit(3),
    "abort": os.abort,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "raise_signal": lambda: signal.raise_signal(signal.SIGKILL),
    "segfault": lambda: ctypes.string_at(0),
    "abort in C": lambda: ctypes.CDLL(None).abort(),
}


@app.job(retry=ONCE, max_crashes=2)
async def deadly(ctx: Context, way: str) -> None:
    note(ctx, "begun")
    await asyncio.sleep(0.05)
    WAYS[way]()


@app.job(retry=ONCE, max_crashes=2)
def deadly_in_a_thread(ctx: Context, way: str) -> None:
    note(ctx, "begun")
    WAYS[way]()


@app.job(retry=ONCE)
async def holds_the_gil(ctx: Context, seconds: int) -> str:
    """Hold the GIL, as a C extension can that never releases it."""
    note(ctx, "begun")
    ctypes.PyDLL(None).sleep(seconds)
    return "held"


@app.job(retry=ONCE)
def holds_the_gil_in_a_thread(ctx: Context, seconds: int) -> str:
    note(ctx, "begun")
    ctypes.PyDLL(None).sleep(seconds)
    return "held"
