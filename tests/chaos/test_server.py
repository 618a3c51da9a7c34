"""The server is killed or paused: no job is lost, and workers reconnect and log the outage once."""

import asyncio
import signal

import pytest

from jobpools.store import keys
from tests.chaos import jobs
from tests.chaos.conftest import APP, QUEUE, Scenario
from tests.support.waiting import eventually
from tests.support.workers import running_workers

pytestmark = pytest.mark.chaos


async def test_a_server_that_is_killed_under_load_loses_no_job(scenario: Scenario) -> None:
    names = ("a", "b", "c")
    with running_workers(
        scenario.folder, scenario.server.url, APP, *names, **scenario.environment, LEASE="2s"
    ) as workers:
        sent = await jobs.app.enqueue_many([jobs.work.call(0.02) for _ in range(2000)])
        eventually("the jobs run", lambda: len(scenario.notes("begun")) > 200)
        scenario.server.kill()
        eventually("all have noticed", lambda: all(worker.log_count("Redis is unreachable") for worker in workers))
        # The supervisor answers, from what the worker publishes ten times a second.
        eventually("none is ready", lambda: [worker.get("/readyz")[0] for worker in workers] == [503] * 3, within=5)
        assert [worker.get("/livez")[0] for worker in workers] == [200] * 3
        scenario.server.start()
        totals = await scenario.ended(30)
        eventually("all are back", lambda: all(worker.log_count("Redis is back") for worker in workers))
        assert [
            (worker.log_count("Redis is unreachable"), worker.log_count("Redis is back")) for worker in workers
        ] == [(1, 1)] * 3
        eventually("all are ready", lambda: [worker.get("/readyz")[0] for worker in workers] == [200] * 3, within=5)
        again = len(scenario.notes("begun")) - len(sent)
        summary = f"{again} of {len(sent)} jobs ran twice, {totals.failed} were charged with a crash"
        print(f"\nkill -9 of the server: {summary}")  # noqa: T201  # a figure for people
        assert totals.completed == len(sent)
    await scenario.balanced(sent, completed=len(sent))


async def test_workers_keep_their_jobs_during_an_outage_longer_than_a_lease(scenario: Scenario) -> None:
    """All leases have expired when the server is back: workers renew theirs before any worker rescues."""
    settings = {"LEASE": "1s", "CONCURRENCY": "2"}
    with running_workers(scenario.folder, scenario.server.url, APP, "a", "b", "c", **scenario.environment, **settings):
        sent = [await jobs.work.enqueue(5), await jobs.grind.enqueue(5)]
        sent += [await jobs.work.enqueue(5) for _ in range(4)]
        eventually("all run", lambda: len(scenario.notes("begun")) == len(sent))
        scenario.server.kill()
        await asyncio.sleep(2)  # two leases: the outage must last longer than a lease
        scenario.server.start()
        totals = await scenario.ended(20)
    assert (totals.completed, totals.failed) == (len(sent), 0)
    assert len(scenario.notes("begun")) == len(sent), "no job ran twice"
    await scenario.balanced(sent, completed=len(sent))


async def test_a_paused_server_is_one_outage(scenario: Scenario) -> None:
    with running_workers(
        scenario.folder, scenario.server.url, APP, "a", "b", **scenario.environment, LEASE="2s"
    ) as workers:
        sent = await jobs.app.enqueue_many([jobs.work.call(0.02) for _ in range(1000)])
        eventually("the jobs run", lambda: len(scenario.notes("begun")) > 100)
        scenario.server.pause()
        try:
            eventually("all have noticed", lambda: all(worker.log_count("Redis is unreachable") for worker in workers))
        finally:
            scenario.server.resume()
        totals = await scenario.ended(30)
        eventually("all are back", lambda: all(worker.log_count("Redis is back") for worker in workers))
        assert [
            (worker.log_count("Redis is unreachable"), worker.log_count("Redis is back")) for worker in workers
        ] == [(1, 1)] * 2
        assert totals.completed == len(sent)
    await scenario.balanced(sent, completed=len(sent))


async def test_a_slot_is_in_use_until_the_end_of_its_attempt_is_recorded(scenario: Scenario) -> None:
    """Settling and claiming are one step: the metric must not drop between the two."""
    with running_workers(scenario.folder, scenario.server.url, APP, "a", **scenario.environment, CONCURRENCY="4") as (
        a,
    ):
        sent = [await jobs.work.enqueue(1.0) for _ in range(4)]
        eventually("all run", lambda: len(scenario.notes("begun")) == len(sent))
        scenario.server.pause()
        try:
            eventually("all have ended", lambda: len(scenario.notes("done")) == len(sent))
            assert a.metric("jobpools_busy") == len(sent), "each job is still leased, as the server knows"
        finally:
            scenario.server.resume()
        eventually("their slots are free", lambda: a.metric("jobpools_busy") == 0)
    await scenario.balanced(sent, completed=len(sent))


async def test_a_batch_that_a_server_crash_interrupts_can_be_enqueued_again(scenario: Scenario) -> None:
    """The caller gets an error and enqueues the same ids again; each job exists once."""
    calls = [jobs.work.options(id=f"order-{n}").call(0) for n in range(5000)]
    sending = asyncio.create_task(jobs.app.enqueue_many(calls))
    while not await _enqueued(scenario):  # noqa: ASYNC110  # another process's doing
        await asyncio.sleep(0)
    scenario.server.kill()
    outcome = (await asyncio.gather(sending, return_exceptions=True))[0]
    scenario.server.start()
    summary = f"{await _enqueued(scenario)} had arrived, the caller got {type(outcome).__name__}"
    print(f"\nkilled while 5000 jobs were sent: {summary}")  # noqa: T201  # a figure for people
    again = await jobs.app.enqueue_many(calls)
    assert await _enqueued(scenario) == len(calls)
    with running_workers(scenario.folder, scenario.server.url, APP, "a", **scenario.environment, CONCURRENCY="100"):
        await scenario.ended(15)
    assert len(scenario.notes("begun")) == len(calls)
    await scenario.balanced(again, completed=len(calls))


async def test_a_worker_stops_on_sigterm_while_the_server_is_unreachable(scenario: Scenario) -> None:
    with running_workers(scenario.folder, scenario.server.url, APP, "a", **scenario.environment, LEASE="1s") as (a,):
        sent = await jobs.app.enqueue_many([jobs.work.call(0.3) for _ in range(20)])
        eventually("the jobs run", lambda: len(scenario.notes("begun")) > 5)
        scenario.server.kill()
        a.send(signal.SIGTERM)
        assert a.wait(30) == 0
        assert "Traceback" not in a.log()
        scenario.server.start()
    # Jobs whose settlement could not be sent run again on another worker: at least once.
    with running_workers(
        scenario.folder, scenario.server.url, APP, "b", **scenario.environment, LEASE="1s", CONCURRENCY="20"
    ):
        await scenario.ended(20)
    await scenario.balanced(sent, completed=len(sent))


async def _enqueued(scenario: Scenario) -> int:
    return int(await scenario.connection.execute("HGET", keys.of_queue(QUEUE, "totals"), "enqueued") or 0)
