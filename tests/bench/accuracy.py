"""How late delayed jobs and the ticks of schedules start, with an idle worker: `delayed` and `ticks`."""

import asyncio
import sys
import time
from datetime import UTC, datetime

from jobpools.client import Client
from jobpools.control.code_schedules import CodeScheduler
from jobpools.store.connection import connect
from tests.bench.jobs import app, due_at, late, report
from tests.bench.product import running

LEAD_IN = 1.5
"""Seconds until the first job is due: worker and scheduler are idle by then."""
SPACING = 0.05
"""Seconds between two jobs."""


async def delayed(url: str, jobs: int) -> None:
    """Enqueue jobs that are due one after the other, and report how late each starts, in seconds."""
    async with running(url, 10):
        began = time.time() + LEAD_IN
        times = [began + number * SPACING for number in range(jobs)]
        await app.enqueue_many([due_at.options(at=datetime.fromtimestamp(at, UTC)).call(at) for at in times])
        await _ended(jobs)
    report(late)


async def ticks(url: str, jobs: int) -> None:
    """Make schedules that are due one after the other, and report how late each tick's job starts, in seconds."""
    connection = connect(url)
    scheduler = asyncio.create_task(CodeScheduler(connection).run())
    async with running(url, 10):
        began = time.time() + LEAD_IN + jobs * 0.005
        for number in range(jobs):
            at = began + number * SPACING
            await app.scheduler.at(datetime.fromtimestamp(at, UTC), due_at.call(at), name=f"tick-{number}")
        await _ended(jobs)
    scheduler.cancel()
    await asyncio.gather(scheduler, return_exceptions=True)
    await connection.aclose()
    report(late)


async def _ended(jobs: int) -> None:
    while len(late) < jobs:  # noqa: ASYNC110  # setting an event would be part of what is measured
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    measure = {function.__name__: function for function in (delayed, ticks)}
    app.use(Client(sys.argv[2]))
    asyncio.run(measure[sys.argv[1]](sys.argv[2], int(sys.argv[3])))
