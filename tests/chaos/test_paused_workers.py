"""A worker that is paused for longer than its lease (SIGSTOP, a paused machine) continues: no crash is charged."""

import asyncio

import pytest

from jobpools import JobState
from jobpools.core.objects import Meta
from jobpools.core.pools.specs import Pool, PoolSpec
from jobpools.store import ledger
from jobpools.store.jobs import read_job
from tests.chaos import jobs
from tests.chaos.conftest import APP, QUEUE, Scenario
from tests.support.queues import operator_queues
from tests.support.waiting import eventually
from tests.support.workers import running_workers

pytestmark = pytest.mark.chaos


def pool(max_crashes: int) -> Pool:
    spec = {"app": APP, "queues": [QUEUE], "job": {"maxCrashes": max_crashes}}
    return Pool(meta=Meta(name="shop"), spec=PoolSpec.model_validate(spec))


@pytest.mark.parametrize("max_crashes", [1, 3], ids=["called dead", "called crashed"])
async def test_jobs_whose_next_attempt_has_not_started_continue_uncharged(scenario: Scenario, max_crashes: int) -> None:
    settings = {"LEASE": "0.6s", "CONCURRENCY": "4"}
    with running_workers(scenario.folder, scenario.server.url, APP, "a", **scenario.environment, **settings) as (a,):
        sent = [await jobs.work.enqueue(1.0) for _ in range(2)] + [await jobs.grind.enqueue(1.0) for _ in range(2)]
        eventually("all run", lambda: len(scenario.notes("begun")) == 4)
        a.pause()
        queues = operator_queues(scenario.connection)
        async with asyncio.timeout(20):
            while (await scenario.totals()).running:
                await queues.maintain(pool(max_crashes))
                await asyncio.sleep(0.01)
        states = {await job.state() for job in sent}
        assert states == {JobState.DEAD if max_crashes == 1 else JobState.QUEUED}
        a.resume()
        totals = await scenario.ended(20) if max_crashes > 1 else await _completed(scenario, 4)
        assert (totals.completed, totals.dead) == (4, 0)
        views = [await read_job(scenario.connection, QUEUE, job.id) for job in sent]
        assert [view and view.history.crashes for view in views] == [0] * 4
        assert a.metric("jobpools_stale_total") == 0
    assert len(scenario.notes("begun")) == 4, "each ran once"
    await scenario.balanced(sent, completed=4)


async def test_a_job_that_another_worker_called_dead_completes_on_its_own_worker(scenario: Scenario) -> None:
    """By default workers rescue too: the other worker settles the job of the paused one as dead."""
    with running_workers(scenario.folder, scenario.server.url, APP, "a", **scenario.environment, LEASE="0.6s") as (a,):
        job = await jobs.work.options(max_crashes=1).enqueue(1.0)
        eventually("it runs", lambda: len(scenario.notes("begun")) == 1)
        a.pause()
        with running_workers(scenario.folder, scenario.server.url, APP, "b", **scenario.environment, LEASE="0.6s") as (
            b,
        ):
            eventually("it was called dead", lambda: b.log_count("Crashed: ") == 1)
            assert await job.state() is JobState.DEAD
            a.resume()
            await _completed(scenario, 1)
    assert len(scenario.notes("begun")) == 1
    await scenario.balanced([job], completed=1)


async def _completed(scenario: Scenario, number: int) -> ledger.Ledger:
    async with asyncio.timeout(20):
        while (totals := await scenario.totals()).completed < number:  # noqa: ASYNC110  # another process settles the jobs
            await asyncio.sleep(0.02)
    return totals
