"""Random faults for some seconds: each job ends, and in one way only."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Awaitable, Callable

import pytest

from jobpools import JobHandle, JobNotFoundError, JobState, Priority
from jobpools.errors import StoreError
from jobpools.store.jobs import read_job
from tests.chaos import jobs
from tests.chaos.conftest import APP, QUEUE, Scenario
from tests.support.workers import WorkerProcess

pytestmark = pytest.mark.chaos
SECONDS = float(os.environ.get("SOAK_SECONDS", "10"))
SEED = int(os.environ.get("SOAK_SEED", "7"))


class FaultInjection:
    """Three workers and a server, and random faults of both."""

    def __init__(self, scenario: Scenario, draw: random.Random) -> None:
        self.scenario, self.draw = scenario, draw
        self.started = 0
        self.workers = [self._start() for _ in range(3)]
        self.sent: list[JobHandle[int]] = []
        self.asked_to_cancel: set[str] = set()

    def _start(self) -> WorkerProcess:
        self.started += 1
        settings = {"LEASE": "1s", "CONCURRENCY": "8", "GRACE": "0.3s"}
        return WorkerProcess(
            self.scenario.folder,
            f"w{self.started}",
            self.scenario.server.url,
            APP,
            **self.scenario.environment,
            **settings,
        )

    async def send(self) -> None:
        calls = []
        for _ in range(self.draw.randint(1, 60)):
            quick = self.draw.random() < 0.8
            seconds, failures = 0 if quick else self.draw.random() / 2, self.draw.choice([0] * 7 + [1, 2, 3])
            delay = self.draw.choice([0, 0, 0, self.draw.random()])
            priority = self.draw.choice(list(Priority))
            made = jobs.mixed.options(delay=delay, priority=priority, id=f"job-{len(self.sent)}-{self.draw.random()}")
            calls.append(made.call(seconds, failures))
        while True:
            with contextlib.suppress(StoreError):
                self.sent += await jobs.app.enqueue_many(calls)
                return
            await asyncio.sleep(0.05)  # then the same ids again, so that no job is duplicated

    async def cancel(self) -> None:
        if self.sent:
            job = self.draw.choice(self.sent[-200:])
            self.asked_to_cancel.add(job.id)
            with contextlib.suppress(StoreError, JobNotFoundError):
                await job.cancel()

    async def kill_worker(self) -> None:
        place = self.draw.randrange(len(self.workers))
        self.workers[place].kill()
        self.workers[place] = self._start()

    async def end_worker(self) -> None:
        place = self.draw.randrange(len(self.workers))
        self.workers[place].send(signal.SIGTERM)
        await asyncio.to_thread(self.workers[place].wait, 20)
        self.workers[place] = self._start()

    async def stop_worker(self) -> None:
        worker = self.draw.choice(self.workers)
        worker.pause()
        await asyncio.sleep(self.draw.random() * 2)
        worker.resume()

    async def kill_server(self) -> None:
        self.scenario.server.kill()
        await asyncio.sleep(self.draw.random() / 2)
        await asyncio.to_thread(self.scenario.server.start)

    async def stop_server(self) -> None:
        self.scenario.server.pause()
        await asyncio.sleep(self.draw.random() * 1.5)
        self.scenario.server.resume()

    async def run(self, seconds: float) -> None:
        actions: list[tuple[Callable[[], Awaitable[None]], int]] = [
            (self.send, 40), (self.cancel, 15), (self.kill_worker, 3), (self.end_worker, 3), (self.stop_worker, 3),
            (self.kill_server, 2), (self.stop_server, 2),
        ]  # fmt: skip
        until = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until:
            action = self.draw.choices([action for action, _ in actions], [weight for _, weight in actions])[0]
            await action()
            await asyncio.sleep(self.draw.random() / 20)


async def test_random_faults_lose_no_job(scenario: Scenario) -> None:
    faults = FaultInjection(scenario, random.Random(SEED))  # noqa: S311  # repeatable
    try:
        await faults.run(SECONDS)
        totals = await scenario.ended(30)
    finally:
        for worker in faults.workers:
            worker.kill()
    ends = [await read_job(scenario.connection, QUEUE, job.id) for job in faults.sent]
    states = [end.state for end in ends if end is not None]
    summary = f"{len(faults.sent)} jobs, {faults.started} workers: {totals}"
    print(f"\n{summary}")  # noqa: T201  # a figure for people
    assert len(states) == len(faults.sent) == totals.enqueued
    assert totals.lost == 0
    assert all(state.ended for state in states)
    assert (totals.completed, totals.dead, totals.cancelled) == tuple(
        states.count(state) for state in (JobState.COMPLETED, JobState.DEAD, JobState.CANCELLED)
    )
    cancelled = {end.id for end in ends if end is not None and end.state is JobState.CANCELLED}
    assert cancelled <= faults.asked_to_cancel
    for end in ends:
        assert end is not None
        if end.state is JobState.DEAD:
            assert end.history.attempts == 3
            assert end.history.note.startswith("RetriesUsedUp"), end.history.note
