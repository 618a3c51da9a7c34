"""A handler that blocks the event loop is logged with its job, and no other job times out."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jobpools import Client, JobDeadError
from tests.chaos.handlers import blockers
from tests.support.waiting import eventually
from tests.support.workers import running_workers

APP = "tests.chaos.handlers.blockers:app"
LONG = 3.0
"""Seconds; the neighbours' timeout is 2 s."""
pytestmark = pytest.mark.chaos


@pytest.fixture
async def url(valkey_url: str) -> AsyncIterator[str]:
    client = Client(valkey_url)
    before = blockers.app.use(client)
    yield valkey_url
    await client.aclose()
    if before is not None:
        blockers.app.use(before)


def named(log: str, job: str) -> list[float]:
    """Return the seconds for which this job blocked the loop, from each log line about it."""
    lines = re.findall(rf"{job}: it blocked the event loop for ([\d.]+)(m?s) at \S*blockers\.py:\d+ \(\w+\); make", log)
    return [float(number) / (1000 if unit == "ms" else 1) for number, unit in lines]


@pytest.mark.parametrize("how", [*blockers.WAYS, "task", "group", "callback", "service", "middleware"])
async def test_a_blocking_job_is_logged_and_other_jobs_do_not_time_out(url: str, tmp_path: Path, how: str) -> None:
    with running_workers(tmp_path, url, APP, "a") as (worker,):
        neighbours = [await blockers.neighbour.enqueue(1.2) for _ in range(2)]
        neighbours += [await blockers.plain_neighbour.enqueue(1.2) for _ in range(2)]
        eventually("they run", lambda: worker.metric("jobpools_busy") == 4)
        job = await blockers.block.options(tags=[how]).enqueue(how, LONG)
        assert await job.result(timeout=30) == "done"
        assert [await each.result(timeout=30) for each in neighbours] == ["done"] * 4
        eventually("it is named", lambda: len(named(worker.log(), job.id)) == 1, detail=worker.log)
        assert LONG - 0.5 < named(worker.log(), job.id)[0] < LONG + 2
        assert "asyncio.to_thread" in worker.log()
        for each in neighbours:
            assert not named(worker.log(), each.id)


async def test_each_of_several_blocks_extends_the_deadlines(url: str, tmp_path: Path) -> None:
    with running_workers(tmp_path, url, APP, "a") as (worker,):
        neighbours = await blockers.neighbour.enqueue(1.5)
        eventually("it runs", lambda: worker.metric("jobpools_busy") == 1)
        job = await blockers.block.enqueue("sleep", 1.0, 4)
        assert await neighbours.result(timeout=30) == "done"
        assert await job.result(timeout=30) == "done"
        eventually("each is named", lambda: len(named(worker.log(), job.id)) == 4, detail=worker.log)


async def test_jobs_that_block_one_after_the_other_are_each_logged(url: str, tmp_path: Path) -> None:
    with running_workers(tmp_path, url, APP, "a") as (worker,):
        jobs = [await blockers.block.enqueue("sleep", 1.0) for _ in range(3)]
        for job in jobs:
            assert await job.result(timeout=30) == "done"
        eventually("each is named", lambda: all(named(worker.log(), job.id) for job in jobs), detail=worker.log)


async def test_the_history_of_a_failed_job_says_that_it_blocked(url: str, tmp_path: Path) -> None:
    with running_workers(tmp_path, url, APP, "a"):
        job = await blockers.block_and_fail.enqueue(1.5)
        with pytest.raises(
            JobDeadError, match=r"ValueError: after all; it blocked the event loop for 1[\d.]*s at \S+:\d+"
        ):
            await job.result(timeout=30)


async def test_the_time_for_which_a_job_blocks_counts_against_its_own_timeout(url: str, tmp_path: Path) -> None:
    with running_workers(tmp_path, url, APP, "a") as (worker,):
        job = await blockers.block_for_too_long.enqueue(2.0)
        with pytest.raises(JobDeadError, match=r"TimeoutError: ran longer than 1s; it blocked the event loop for 2"):
            await job.result(timeout=10)
        assert len(named(worker.log(), job.id)) >= 1


async def test_a_handler_that_holds_the_gil_times_out_no_other_job(url: str, tmp_path: Path) -> None:
    with running_workers(tmp_path, url, APP, "a") as (worker,):
        neighbours = await blockers.neighbour.enqueue(1.9)
        eventually("it runs", lambda: worker.metric("jobpools_busy") == 1)
        job = await blockers.hold_the_gil.enqueue()
        assert await job.result(timeout=60) == "done"
        assert await neighbours.result(timeout=30) == "done"
        named_or_not = rf"{job.id}: it blocked the event loop|no job was seen to block it"
        eventually("the log says so", lambda: re.search(named_or_not, worker.log()), detail=worker.log)
