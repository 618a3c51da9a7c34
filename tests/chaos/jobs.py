"""Jobs that note each start in a file, which outlives every process and server."""

import asyncio
import os
import time

from jobpools import App, Context, Retry

app = App("chaos", queue="chaos")


def _note(ctx: Context, what: str) -> None:
    line = f"{ctx.id} {what} {os.getpid()} {time.time():.3f}\n"
    # One write to a file opened for appending: lines of several processes do not mix.
    with open(os.environ["JOBPOOLS_NOTES"], "a") as file:  # noqa: PTH123  # as short as possible, because it blocks the event loop
        file.write(line)


@app.job
async def work(ctx: Context, seconds: float) -> None:
    _note(ctx, "begun")
    await asyncio.sleep(seconds)
    _note(ctx, "done")


@app.job
def grind(ctx: Context, seconds: float) -> None:
    _note(ctx, "begun")
    time.sleep(seconds)
    _note(ctx, "done")


@app.job
async def block(ctx: Context, seconds: float) -> None:
    """Block the worker's event loop, as a handler should not."""
    _note(ctx, "begun")
    time.sleep(seconds)  # noqa: ASYNC251  # on purpose
    _note(ctx, "done")


@app.job(retry=Retry(strategy="fixed", initial=0.1, max_attempts=3), max_crashes=1000)
async def mixed(ctx: Context, seconds: float, failures: int) -> int:
    """Fail `failures` times, then succeed; after the third failure the job is dead."""
    _note(ctx, "begun")
    await asyncio.sleep(seconds)
    if ctx.history.attempts < failures:
        raise OSError("not yet")
    _note(ctx, "done")
    return failures


@app.job(retry=Retry(strategy="none"))
async def poison(ctx: Context) -> None:
    _note(ctx, "begun")
    os._exit(1)
