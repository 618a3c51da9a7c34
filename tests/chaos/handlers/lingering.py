"""Jobs whose code outlives their attempts, and that note in a file when they run."""

import asyncio
import os
import time
from pathlib import Path

from jobpools import App, Context, Retry

app = App("lingering", queue="lingering")
TWO_ATTEMPTS = Retry(strategy="fixed", initial=0.01, max_attempts=2)


def note(ctx: Context, what: str) -> None:
    line = f"{ctx.id} {what} {ctx.attempt} {os.getpid()} {time.time():.3f}\n"
    with open(os.environ["JOBPOOLS_NOTES"], "a") as file:  # noqa: PTH123  # one write to a file opened for appending
        file.write(line)


def work(ctx: Context) -> str:
    """The first attempt runs until a file is there; the second one ends at once."""
    note(ctx, "begun")
    go_on = Path(os.environ["JOBPOOLS_GO_ON"])
    while ctx.attempt == 1 and not go_on.exists():
        time.sleep(0.02)
    note(ctx, "ended")
    return f"attempt {ctx.attempt}"


@app.job(retry=TWO_ATTEMPTS, timeout=0.5)
def plain(ctx: Context) -> str:
    return work(ctx)


@app.job(retry=TWO_ATTEMPTS, timeout=0.5)
async def to_thread(ctx: Context) -> str:
    return await asyncio.to_thread(work, ctx)


@app.job(retry=TWO_ATTEMPTS, timeout=0.5)
async def in_executor(ctx: Context) -> str:
    return await asyncio.get_running_loop().run_in_executor(None, work, ctx)


@app.job(retry=TWO_ATTEMPTS, timeout=0.5)
async def ignore_cancellation(ctx: Context) -> str:
    note(ctx, "begun")
    go_on = Path(os.environ["JOBPOOLS_GO_ON"])
    while ctx.attempt == 1 and not go_on.exists():  # noqa: ASYNC240  # short
        try:
            await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            continue
    note(ctx, "ended")
    return f"attempt {ctx.attempt}"


@app.job
def forever(ctx: Context) -> None:
    note(ctx, "begun")
    while True:
        time.sleep(0.05)


@app.job
async def forever_in_a_thread(ctx: Context) -> None:
    await asyncio.to_thread(forever.function, ctx)


@app.job
async def quick() -> str:
    return "quick"
