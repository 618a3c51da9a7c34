"""Jobs that depend on time in every way that a job can."""

import asyncio
import time

from jobpools import App, Context, Retry

app = App("clocks")


@app.job(result_ttl="1h")
async def clock() -> float:
    """Return this worker's time."""
    return time.time()


@app.job(retry=Retry(initial=1, jitter=0, max_attempts=2))
async def second_time(ctx: Context) -> int:
    """Fail once."""
    if ctx.attempt == 1:
        raise ConnectionError("not yet")
    return ctx.attempt


@app.job(timeout="1s", retry=Retry(strategy="none"))
async def too_long() -> None:
    """Take longer than it may."""
    await asyncio.sleep(60)


@app.job
async def endless() -> None:
    """Run until it is cancelled."""
    await asyncio.sleep(600)


@app.job(result_ttl="2s")
async def short() -> str:
    """Leave a result that is over soon."""
    return "here"
