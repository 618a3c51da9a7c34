"""Jobs that note each start in a file, which outlives every process and server."""

import asyncio
import os
import time

from jobpools import App, Context, Retry
from tests.chaos.notes import note

app = App("chaos", queue="chaos")


@app.job
async def work(ctx: Context, seconds: float) -> None:
    note(ctx, "begun")
    await asyncio.sleep(seconds)
    note(ctx, "done")


@app.job
def grind(ctx: Context, seconds: float) -> None:
    note(ctx, "begun")
    time.sleep(seconds)
    note(ctx, "done")


@app.job
async def block(ctx: Context, seconds: float) -> None:
    """Block the worker's event loop, as a handler should not."""
    note(ctx, "begun")
    time.sleep(seconds)  # noqa: ASYNC251  # on purpose
    note(ctx, "done")


@app.job(retry=Retry(strategy="none"))
async def poison(ctx: Context) -> None:
    note(ctx, "begun")
    os._exit(1)
