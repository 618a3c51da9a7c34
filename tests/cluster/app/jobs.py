"""The jobs of this suite. Each writes a trace to Redis when it starts and when it ends, so that tests can count."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

from redis.asyncio import Redis

from jobpools import App, Context, Retry

TRACE = "suite:trace:"
"""A stream for each queue, with the fields id, event, host, attempt, version."""

app = App("suite", queue="suite")


@app.service
async def redis() -> AsyncIterator[Redis]:
    async with Redis.from_url(os.environ["JOBPOOLS_REDIS_URL"]) as client:
        yield client


async def _trace(ctx: Context, event: str) -> None:
    fields: dict[Any, Any] = {
        "id": ctx.id,
        "event": event,
        "host": ctx.worker.rpartition(".")[0],
        "attempt": ctx.attempt,
        "version": os.environ.get("SUITE_VERSION", ""),
    }
    await ctx.service(redis).xadd(TRACE + ctx.queue, fields)


@app.job(timeout="2m", retry=Retry(max_attempts=3))
async def work(ctx: Context, seconds: float = 0.0) -> str:
    await _trace(ctx, "start")
    await asyncio.sleep(seconds)
    await _trace(ctx, "end")
    return ctx.id
