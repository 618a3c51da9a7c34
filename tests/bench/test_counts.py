"""Commands and bytes of the hot path: one more round trip, command or field for each job fails, on any machine."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from redis.asyncio import Redis

from jobpools import App
from jobpools.handlers import Handler
from jobpools.runtime.worker import Worker
from jobpools.settings import WorkerSettings
from tests.bench.jobs import arguments
from tests.bench.measure import SENT, calls_of
from tests.support.waiting import until

JOBS = 4000
OTHER_COMMANDS = 20
"""Maximum commands besides the steps: the first check of the queues, heartbeats, the rescue loop."""


@dataclass
class Counts:
    """Commands and bytes of the server for each job."""

    jobs: int
    sent: float = 0
    """Commands that clients sent; a script is one."""
    called: float = 0
    """Data commands, those inside of scripts included."""
    received: float = 0
    """Bytes that the server received."""
    returned: float = 0
    """Bytes that the server sent."""


@contextlib.asynccontextmanager
async def counted(url: str, jobs: int) -> AsyncIterator[Counts]:
    counts = Counts(jobs)
    async with Redis.from_url(url) as client:
        await client.config_resetstat()
        yield counts
        after = await client.info("all")
    called = calls_of(after)
    counts.sent = sum(called.get(name, 0) for name in SENT) / jobs
    counts.called = sum(called.values()) / jobs
    counts.received, counts.returned = after["total_net_input_bytes"] / jobs, after["total_net_output_bytes"] / jobs


@contextlib.asynccontextmanager
async def working(app: App, url: str, slots: int) -> AsyncIterator[Worker]:
    worker = Worker(app, WorkerSettings(redis_url=url, concurrency=slots))
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await running


@pytest.fixture
async def app(valkey_url: str) -> AsyncIterator[App]:
    async with App("counts", redis=valkey_url, queue="bench") as app:

        @app.job
        async def noop(n: int, to: str) -> None: ...

        yield app


@pytest.mark.parametrize("slots", [10, 100])
async def test_a_drain_takes_one_round_trip_for_two_hundred_jobs(app: App, valkey_url: str, slots: int) -> None:
    noop = app.handlers["noop"]
    await app.enqueue_many([noop.call(**arguments(n)) for n in range(JOBS)])
    async with counted(valkey_url, JOBS) as counts, working(app, valkey_url, slots) as worker:
        await until(lambda: worker.metrics.completed == JOBS and not worker.parts.consumers[0].leases.attempts)
        steps = worker.metrics.steps / JOBS
    assert steps < 0.0125, "0.004 were measured; batches became smaller"
    assert counts.sent < steps + OTHER_COMMANDS / JOBS, "one more command besides the steps"
    assert counts.called < 24 * (steps + OTHER_COMMANDS / JOBS), "20 were measured; a step runs more commands"
    assert counts.received < 155, "145 were measured: lease id and record of a settlement"
    assert counts.returned < 185, "178 were measured: id and envelope of a claim"


async def test_an_idle_worker_picks_a_job_up_with_four_commands(app: App, valkey_url: str) -> None:
    noop = app.handlers["noop"]
    async with working(app, valkey_url, 10) as worker:
        await run_one(noop, worker)
        async with counted(valkey_url, 100) as counts:
            for _ in range(100):
                await run_one(noop, worker)
    assert counts.sent < 4 + OTHER_COMMANDS / 100, "enqueue; wait, claim, settle"
    assert counts.called < 49 + OTHER_COMMANDS / 100, "49 were measured: the limits and the pause take one command each"
    assert counts.received < 2500
    assert counts.returned < 350


async def run_one(noop: Handler[..., Any], worker: Worker) -> None:
    before = worker.metrics.completed
    await noop.enqueue(**arguments(before))
    await until(lambda: worker.metrics.completed > before and not worker.parts.consumers[0].leases.attempts)


async def test_a_job_sent_alone_takes_one_command(app: App, valkey_url: str) -> None:
    async with counted(valkey_url, 100) as counts:
        for n in range(100):
            await app.handlers["noop"].enqueue(**arguments(n))
    assert counts.sent < 1.1
    assert counts.called < 13, "11 were measured, the script included"
    assert counts.received < 700, "640 were measured"
    assert counts.returned < 20


async def test_many_jobs_take_one_command_for_five_hundred(app: App, valkey_url: str) -> None:
    async with counted(valkey_url, JOBS) as counts:
        await app.enqueue_many([app.handlers["noop"].call(**arguments(n)) for n in range(JOBS)])
    assert counts.sent < 1.5 / 500
    assert counts.called < 1.1, "1.03 were measured: one command for each job checks whether its id exists"
    assert counts.received < 210, "199 were measured: id, envelope, priority and flags"
    assert counts.returned < 10


async def test_the_garbage_collector_does_not_track_sent_jobs(app: App) -> None:
    """The collector's searches for cycles among thousands of jobs took a third of the time of sending them."""
    calls = [app.handlers["noop"].call(**arguments(n)) for n in range(10)]
    handles = await app.enqueue_many(calls)
    assert not any(gc.is_tracked(each) for each in (*calls, *handles))
