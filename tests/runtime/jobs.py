"""The apps that the worker processes of these tests run."""

import asyncio
import threading
from collections.abc import AsyncIterator

from jobpools import App

app = App("tests")
jobless = App("jobless")
unopened = App("unopened")
EMPTY = ""


@app.job
async def nap(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "slept"


@app.job
async def ignore_cancellation() -> None:
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue


@app.job
def hang() -> None:
    threading.Event().wait(60)


@unopened.job
async def noop() -> None: ...


@unopened.service
async def database() -> AsyncIterator[None]:
    if app.handlers:
        raise ConnectionRefusedError("no database today")
    yield
