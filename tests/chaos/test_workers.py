"""Workers that die, stop, are paused or are blocked: no job is lost, and none is charged without a cause."""

import asyncio
import re
import signal
import time

import pytest

from jobpools import JobState
from jobpools.store.jobs import read_job
from tests.chaos import jobs
from tests.chaos.conftest import APP, QUEUE, Scenario
from tests.support.waiting import eventually
from tests.support.workers import WorkerProcess, running_workers

pytestmark = pytest.mark.chaos


async def test_jobs_of_a_killed_worker_run_again_within_15_seconds(scenario: Scenario) -> None:
    with running_workers(scenario.folder, scenario.server.url, APP, "a", "b", "c", **scenario.environment) as (a, _, _):
        sent = await jobs.app.enqueue_many([jobs.work.call(0.05) for _ in range(1000)])
        eventually("the jobs run", lambda: len(scenario.notes("begun")) > 100)
        a.kill()
        killed = time.time()
        held = await scenario.held_by("a")  # no worker rescues them before their leases expire
        assert held, "it was killed while it held jobs"
        totals = await scenario.ended(20)
        begun = {note.id: note.at for note in scenario.notes("begun")}  # the latest start of each
        recovery = max(begun[job_id] for job_id in held) - killed
        summary = f"{len(held)} jobs in hand, the last of them ran again after {recovery:.1f} s"
        print(f"\nkill -9 of a worker: {summary}")  # noqa: T201  # a figure for people
        assert 0 < recovery < 15
        assert totals.completed == len(sent)
        assert totals.failed == len(held), "each was charged with one crash, and nothing else failed"
        view = await read_job(scenario.connection, QUEUE, next(iter(held)))
        assert view is not None
        assert (view.history.attempts, view.history.crashes) == (0, 1)
    await scenario.balanced(sent, completed=len(sent))


async def test_only_the_job_that_kills_its_workers_becomes_dead(scenario: Scenario) -> None:
    names = ("a", "b", "c", "d")
    with running_workers(
        scenario.folder, scenario.server.url, APP, *names, **scenario.environment, LEASE="0.5s"
    ) as workers:
        neighbours = [await jobs.work.enqueue(1.0) for _ in range(8)]
        poison = await jobs.poison.enqueue()
        await scenario.ended(25)
        alive = [worker for worker in workers if worker.process.poll() is None]
        assert len(alive) == len(workers) - 3, "max_crashes is 3"
    view = await read_job(scenario.connection, QUEUE, poison.id)
    assert view is not None
    assert (view.state, view.history.crashes, view.history.attempts) == (JobState.DEAD, 3, 0)
    assert view.history.note.startswith("Crashed: ")
    assert len([note for note in scenario.notes("begun") if note.id == poison.id]) == 3
    await scenario.balanced([poison, *neighbours], dead=1, completed=len(neighbours))


async def test_other_jobs_of_a_worker_that_is_killed_repeatedly_complete(scenario: Scenario) -> None:
    """One pod, restarted as Kubernetes does: each time the same jobs are claimed together."""
    neighbours = [await jobs.work.enqueue(0.3) for _ in range(4)]
    poison = await jobs.poison.enqueue()
    starts = 0
    while (await scenario.totals()).unfinished:
        starts += 1
        assert starts < 8
        a = WorkerProcess(scenario.folder, f"a{starts}", scenario.server.url, APP, **scenario.environment, LEASE="0.3s")
        try:
            a.wait_started()  # the time limit below is for the worker, not for the start of Python on a busy machine
            async with asyncio.timeout(10):
                while a.process.poll() is None and (await scenario.totals()).unfinished:  # noqa: ASYNC110  # another process settles the jobs
                    await asyncio.sleep(0.01)
        finally:
            a.kill()
    await scenario.balanced([poison, *neighbours], dead=1, completed=len(neighbours))


async def test_sigterm_under_load_hands_back_waiting_jobs_and_finishes_running_ones(scenario: Scenario) -> None:
    with running_workers(scenario.folder, scenario.server.url, APP, "a", **scenario.environment, CONCURRENCY="2") as (
        a,
    ):
        slow = [await jobs.work.options(priority="high").enqueue(2.0)]
        # One slot is left for these. At any moment some wait for it: they are claimed before the slot is free.
        quick = await jobs.app.enqueue_many([jobs.work.call(0.002) for _ in range(2000)])
        eventually("the jobs run", lambda: len(scenario.notes("begun")) > 100)
        a.send(signal.SIGTERM)
        assert a.wait() == 0
        found = re.search(
            r"draining; waiting jobs handed back: (\d+); running jobs: (\d+), which get 30s to finish", a.log()
        )
        assert found, a.log()
        assert int(found[1]) > 0, "some had been claimed and not started"
        assert int(found[2]) in (1, 2), "the slow one, and a quick one or none"
        assert slow[0].id in {note.id for note in scenario.notes("done")}, "a running job is finished"
        assert await scenario.held_by("a") == set()
    totals = await scenario.totals()
    assert totals.failed == 0, "nothing was charged"
    assert (totals.completed + totals.ready, totals.running, totals.lost) == (len(quick) + len(slow), 0, 0)
    with running_workers(scenario.folder, scenario.server.url, APP, "b", **scenario.environment, CONCURRENCY="30"):
        await scenario.ended(10)
    assert len(scenario.notes("begun")) == len(quick) + len(slow), "each ran once, on one of the two"
    await scenario.balanced([*quick, *slow], completed=len(quick) + len(slow))


async def test_jobs_that_outlast_the_grace_are_handed_back_uncharged(scenario: Scenario) -> None:
    with running_workers(scenario.folder, scenario.server.url, APP, "a", **scenario.environment, GRACE="0.2s") as (a,):
        sent = [await jobs.work.enqueue(60), await jobs.grind.enqueue(60)]
        eventually("both run", lambda: len(scenario.notes("begun")) == 2)
        a.send(signal.SIGTERM)
        assert a.wait(20) == 0
    totals = await scenario.totals()
    assert (totals.ready, totals.running, totals.failed) == (2, 0, 0)
    for job in sent:
        view = await read_job(scenario.connection, QUEUE, job.id)
        assert view is not None
        assert (view.state, view.history.attempts, view.history.crashes) == (JobState.QUEUED, 0, 0)
        await job.cancel()
    await scenario.balanced(sent, cancelled=2)


async def test_settlements_of_a_worker_paused_for_longer_than_its_lease_are_stale(scenario: Scenario) -> None:
    with running_workers(scenario.folder, scenario.server.url, APP, "a", **scenario.environment, LEASE="0.6s") as (a,):
        sent = [await jobs.work.enqueue(0.5), await jobs.grind.enqueue(0.5)]
        eventually("both run", lambda: len(scenario.notes("begun")) == 2)
        a.pause()
        with running_workers(scenario.folder, scenario.server.url, APP, "b", **scenario.environment, LEASE="0.6s") as (
            b,
        ):
            totals = await scenario.ended(10)
            assert (totals.completed, totals.failed) == (2, 2), "each crashed once and was completed by the other"
            a.resume()
            eventually("both late ones were refused", lambda: a.metric("jobpools_stale_total") >= 2)
            assert b.metric("jobpools_stale_total") == 0
    assert (await scenario.totals()).completed == 2
    await scenario.balanced(sent, completed=2)


async def test_a_single_worker_paused_for_longer_than_its_lease_continues_its_jobs(scenario: Scenario) -> None:
    with running_workers(scenario.folder, scenario.server.url, APP, "a", **scenario.environment, LEASE="0.5s") as (a,):
        sent = [await jobs.work.enqueue(0.5), await jobs.grind.enqueue(0.5)]
        eventually("both run", lambda: len(scenario.notes("begun")) == 2)
        a.pause()
        await asyncio.sleep(1.5)  # three leases: it must be paused for longer than its lease
        a.resume()
        totals = await scenario.ended(10)
        assert (totals.completed, totals.failed) == (2, 0), "no other worker rescued them"
    assert len(scenario.notes("begun")) == 2
    await scenario.balanced(sent, completed=2)


async def test_a_blocked_event_loop_is_not_a_dead_worker(scenario: Scenario) -> None:
    """A thread renews the leases: no worker takes over a job that runs five times as long as its lease."""
    with running_workers(scenario.folder, scenario.server.url, APP, "a", "b", **scenario.environment, LEASE="0.6s") as (
        a,
        b,
    ):
        job = await jobs.block.enqueue(3.0)
        eventually("it runs", lambda: len(scenario.notes("begun")) == 1)
        assert (a.get("/livez")[0], b.get("/livez")[0]) == (200, 200), "answered by a thread, too"
        totals = await scenario.ended(10)
        assert (totals.completed, totals.failed) == (1, 0)
        assert a.metric("jobpools_rescued_total") + b.metric("jobpools_rescued_total") == 0
    assert len(scenario.notes("begun")) == 1
    await scenario.balanced([job], completed=1)
