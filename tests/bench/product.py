"""The worker and the client as users run them, measured at the same points as the floor."""

import asyncio
import contextlib
import gc
import sys
import time
from collections.abc import AsyncIterator

from jobpools.client import Client
from jobpools.runtime.run_worker import GC_THRESHOLD
from jobpools.runtime.worker import Worker
from jobpools.settings import WorkerSettings
from tests.bench.jobs import app, arguments, between_marks, drained, noop, report, starts


@contextlib.asynccontextmanager
async def running(url: str, slots: int) -> AsyncIterator[Worker]:
    gc.set_threshold(GC_THRESHOLD)  # as `jobpools worker` does
    worker = Worker(app, WorkerSettings(redis_url=url, concurrency=slots))
    task = asyncio.create_task(worker.run())
    yield worker
    worker.stop()
    await task


async def drain(url: str, slots: int) -> None:
    async with running(url, slots) as worker:
        await drained.wait()
        figures = between_marks() | {"steps": worker.metrics.steps}
    report(figures)


async def pick_up(url: str, jobs: int) -> None:
    """Run an idle worker of ten slots; the sender sends the next job when the last one has started."""
    async with running(url, 10):
        report("ready")
        while len(starts) < jobs:  # noqa: ASYNC110  # setting an event would be part of what is measured
            await asyncio.sleep(0.1)
    report(starts)


async def send(_: str, jobs: int) -> None:
    """Enqueue one job at a time."""
    async with app:
        began = time.monotonic()
        for n in range(jobs):
            await noop.enqueue(**arguments(n))
        report(time.monotonic() - began)


async def send_many(_: str, jobs: int) -> None:
    """Enqueue all jobs in one call; the arguments of each are validated."""
    async with app:
        began = time.monotonic()
        await app.enqueue_many([noop.call(**arguments(n)) for n in range(jobs)])
        report(time.monotonic() - began)


if __name__ == "__main__":
    measure = {function.__name__: function for function in (drain, pick_up, send, send_many)}
    app.use(Client(sys.argv[2]))
    asyncio.run(measure[sys.argv[1]](sys.argv[2], int(sys.argv[3])))
