"""Clocks of producers and workers that are wrong by minutes or a day do not change when anything happens."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from jobpools import Client, JobCancelledError, JobDeadError, JobNotFoundError, JobState
from jobpools.control.schedules import ScheduleEngine
from jobpools.core.schedules.actions import SchedulePlan
from jobpools.core.schedules.specs import Schedule
from jobpools.store.connection import Connection, connect
from jobpools.store.endpoint_facts import read_endpoint, read_workers
from jobpools.store.jobs import read_job
from jobpools.store.schedules import StoreSchedules
from tests.chaos.clocks import apps
from tests.support.workers import running_workers

HERE = Path(__file__).parent
OFF = [-86_400, -120, 120, 86_400]
QUEUE = "default"
right = time.time


@pytest.fixture
async def store(valkey_url: str) -> AsyncIterator[Connection]:
    apps.app.use(Client(valkey_url))
    made = connect(valkey_url)
    yield made
    await made.aclose()
    await apps.app.client.aclose()


@pytest.fixture(params=[*[("producer", off) for off in OFF], *[("worker", off) for off in OFF]], ids=str)
def wrong(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, int]:
    """Whose clock is wrong, and by how many seconds."""
    who, off = request.param
    if who == "producer":
        monkeypatch.setattr(time, "time", lambda: right() + off)
    else:
        monkeypatch.setenv("PYTHONPATH", str(HERE))
        monkeypatch.setenv("CLOCK_OFF", str(off))
    return who, off


async def gone(ask: Callable[[], object]) -> None:
    """Wait until the job is not known any more."""
    async with asyncio.timeout(30):
        while True:
            try:
                await ask()  # type: ignore[misc]  # a coroutine
            except JobNotFoundError:
                return
            await asyncio.sleep(0.05)


async def test_a_wrong_clock_changes_nothing(
    store: Connection, valkey_url: str, tmp_path: Path, wrong: tuple[str, int]
) -> None:
    who, off = wrong
    begun = time.monotonic()
    waiting = await apps.clock.enqueue()
    (facts,) = (await read_endpoint(store, {"default/clocks": [QUEUE]})).queues.values()
    assert facts.oldest_seconds is not None
    assert facts.oldest_seconds < 30, "the age of a job drives scaling and alerts"
    delayed = await apps.clock.options(delay="1s").enqueue()
    with running_workers(tmp_path, valkey_url, "tests.chaos.clocks.apps:app", "clocks"):
        reported = await waiting.result(timeout=30)
        assert abs(reported - right() - (off if who == "worker" else 0)) < 60, "its clock is wrong"
        await delayed.result(timeout=30)
        assert time.monotonic() - begun >= 0.9, "not before its time"

        begun = time.monotonic()
        assert await (await apps.second_time.enqueue()).result(timeout=30) == 2
        assert time.monotonic() - begun >= 0.9

        with pytest.raises(JobDeadError, match="TimeoutError"):
            await (job := await apps.too_long.enqueue()).result(timeout=30)
        view = await read_job(store, QUEUE, job.id)
        assert view is not None
        assert view.ended_at is not None
        for at in (view.ended_at, view.history.entries[-1].at):
            assert abs(at - right()) < 60, "records tell the server's time"

        running = await apps.endless.enqueue()
        async with asyncio.timeout(30):
            while await running.state() is not JobState.RUNNING:  # noqa: ASYNC110  # another process starts the job
                await asyncio.sleep(0.02)
        await running.cancel()
        with pytest.raises(JobCancelledError):
            await running.result(timeout=30)

        short = await apps.short.enqueue()
        assert await short.result(timeout=30) == "here"
        begun = time.monotonic()
        await gone(short.state)
        assert time.monotonic() - begun < 10, "a result of two seconds"
        (worker,) = await read_workers(store, "default/worker", [QUEUE])
        assert all(abs(at - right()) < 60 for at in (worker.started, worker.idle_since or right()))


class RecordingReporter:
    """The port ScheduleReporter."""

    def __init__(self) -> None:
        self.plans: list[SchedulePlan] = []

    async def report_schedule(self, schedule: Schedule, plan: SchedulePlan) -> None:  # noqa: ARG002  # the port's
        """Keep the plan."""
        self.plans.append(plan)


@pytest.mark.parametrize("off", OFF)
async def test_ticks_are_judged_by_the_servers_time(
    store: Connection, monkeypatch: pytest.MonkeyPatch, off: int
) -> None:
    """After a leader with a right clock, one with a wrong clock fires no tick of another day."""
    schedule = Schedule.model_validate(
        {"meta": {"name": "tick", "namespace": "default"},
         "spec": {"schedule": "* * * * *", "catchUp": "All", "job": {"name": "clock", "queue": QUEUE}}}
    )  # fmt: skip
    reporter = RecordingReporter()
    first = ScheduleEngine(StoreSchedules(store), reporter)
    first.put(schedule)
    await first.run_pass()
    monkeypatch.setattr(time, "time", lambda: right() + off)
    other = ScheduleEngine(StoreSchedules(store), reporter)
    other.put(schedule)
    begun = right()
    next_pass_at = await other.run_pass()
    fires = [fire for plan in reporter.plans for fire in plan.fires]
    assert len(fires) <= 1 + (right() // 60 - begun // 60), "no tick of another day"
    assert begun < next_pass_at < right() + 70, "the next tick is within a minute of the server's time"
