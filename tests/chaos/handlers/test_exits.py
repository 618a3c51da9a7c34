"""Exits inside a handler fail that job at once; the worker and its other jobs continue."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jobpools import Client, JobDeadError
from tests.chaos.handlers import exits
from tests.support.waiting import eventually
from tests.support.workers import WorkerProcess, running_workers

APP = "tests.chaos.handlers.exits:app"
WITHIN = 20.0
"""Seconds; the timeouts of these jobs are 5 minutes."""
pytestmark = pytest.mark.chaos


@pytest.fixture
async def url(valkey_url: str) -> AsyncIterator[str]:
    client = Client(valkey_url)
    before = exits.app.use(client)
    yield valkey_url
    await client.aclose()
    if before is not None:
        exits.app.use(before)


def check_drains(worker: WorkerProcess) -> None:
    assert worker.process.poll() is None
    worker.send(signal.SIGTERM)
    assert worker.wait(30) == 0, worker.log()


NAMES = {"exit": "SystemExit", "interrupt": "KeyboardInterrupt", "generator": "GeneratorExit",
         "cancelled": "CancelledError"}  # fmt: skip


@pytest.mark.parametrize("what", ["exit", "interrupt"])
async def test_an_exit_anywhere_in_a_handler_fails_that_job_only(url: str, tmp_path: Path, what: str) -> None:
    with running_workers(tmp_path, url, APP, "a", CONCURRENCY="40") as (worker,):
        neighbours = [await exits.neighbour.enqueue(3.0) for _ in range(5)]
        sent = {how: await exits.leave_async.enqueue(how, what) for how in exits.ASYNC}
        sent["plain"] = await exits.leave_plain.enqueue(what)
        for how, job in sent.items():
            with pytest.raises(JobDeadError, match=NAMES[what]) as died:
                await job.result(timeout=WITHIN)
            assert "dead after 1 attempt" in str(died.value), how
            assert worker.log_count(f"{job.id}: NotRetried: attempt 1 of 3 failed ({NAMES[what]}") == 1, how
        assert [await job.result(timeout=30) for job in neighbours] == [1] * 5
        assert worker.metric("jobpools_jobs_total") == len(sent) + 5
        assert "exits.py" in worker.log()
        check_drains(worker)


@pytest.mark.parametrize("what", ["generator", "cancelled"])
async def test_a_handler_that_raises_an_asyncio_exception_fails(url: str, tmp_path: Path, what: str) -> None:
    with running_workers(tmp_path, url, APP, "a", CONCURRENCY="40") as (worker,):
        neighbours = await exits.neighbour.enqueue(2.0)
        ways = ("own", "executor", "to_thread", "wait_for", "context manager")
        sent = [await exits.leave_async.enqueue(how, what) for how in ways]
        sent.append(await exits.leave_plain.enqueue(what))
        for job in sent:
            with pytest.raises(JobDeadError, match=NAMES[what]):
                await job.result(timeout=WITHIN)
        assert await neighbours.result(timeout=30) == 1
        check_drains(worker)


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("stop", "RuntimeError: loop.stop(): the event loop belongs to the worker"),
        ("shutdown_default_executor", "RuntimeError: loop.shutdown_default_executor(): the event loop belongs to"),
        ("shutdown_asyncgens", "RuntimeError: loop.shutdown_asyncgens(): the event loop belongs to"),
        ("close", "RuntimeError: Cannot close a running event loop"),
        ("run", "RuntimeError: This event loop is already running"),
        ("asyncio.run", "RuntimeError: asyncio.run() cannot be called"),
        ("cancel itself", "CancelledError"),
    ],
)
async def test_a_handler_that_misuses_the_event_loop_fails(url: str, tmp_path: Path, how: str, error: str) -> None:
    with running_workers(tmp_path, url, APP, "a") as (worker,):
        neighbours = await exits.neighbour.enqueue(1.0)
        job = await exits.disturb.enqueue(how)
        with pytest.raises(JobDeadError) as died:
            await job.result(timeout=WITHIN)
        assert error in str(died.value)
        assert await neighbours.result(timeout=30) == 1
        assert await (await exits.uses_a_thread.enqueue()).result(timeout=WITHIN) == "done"
        check_drains(worker)


async def test_a_job_that_cancels_all_tasks_cancels_none_of_the_worker_or_of_other_jobs(
    url: str, tmp_path: Path
) -> None:
    with running_workers(tmp_path, url, APP, "a", QUEUES='["exits", "more"]') as (worker,):
        neighbours = await exits.neighbour.enqueue(1.0)
        job = await exits.cancel_all.enqueue(itself=False)
        assert await job.result(timeout=WITHIN) == "done"
        too = await exits.cancel_all.enqueue(itself=True)
        with pytest.raises(JobDeadError, match="CancelledError"):
            await too.result(timeout=WITHIN)
        assert await neighbours.result(timeout=30) == 1
        assert worker.log_count(f"cancel_all {job.id}: it may not cancel a task") > 0
        assert await (await exits.neighbour.options(queue="more").enqueue(0.1)).result(timeout=30) == 1
        check_drains(worker)


@pytest.mark.parametrize("how", ["callback", "thread", "exit in a thread", "callback of a thread"])
async def test_an_event_loop_that_is_stopped_outside_the_handler_continues(url: str, tmp_path: Path, how: str) -> None:
    with running_workers(tmp_path, url, APP, "a") as (worker,):
        neighbours = await exits.neighbour.enqueue(1.0)
        job = await exits.stop_later.enqueue(how)
        assert await job.result(timeout=WITHIN) == "done"
        assert await neighbours.result(timeout=30) == 1
        if how == "callback":
            assert worker.log_count(f"stop_later {job.id}: Exception in callback") == 1
        if how == "callback of a thread":
            assert worker.log_count("code that belongs to no job raised SystemExit: 3 (") == 1
            assert "exits.py:" in worker.log()
        check_drains(worker)


@pytest.mark.parametrize("again", [0.0, 0.01])
async def test_an_exception_of_a_jobs_signal_handler_fails_that_job_only(
    url: str, tmp_path: Path, again: float
) -> None:
    with running_workers(tmp_path, url, APP, "a", CONCURRENCY="20") as (worker,):
        neighbours = [await exits.neighbour.enqueue(1.0), await exits.spins.enqueue(1.0)]
        job = await exits.sets_an_alarm.enqueue(0.3, again)
        with pytest.raises(JobDeadError, match="AlarmError: ring"):
            await job.result(timeout=WITHIN)
        assert [await one.result(timeout=30) for one in neighbours] == [1, 1]
        assert "exits.py" in worker.log()
        assert worker.log_count("broke") == 0
        check_drains(worker)


async def test_many_exits_at_once_are_not_taken_for_a_broken_event_loop(url: str, tmp_path: Path) -> None:
    with running_workers(tmp_path, url, APP, "a") as (worker,):
        job = await exits.exits_many_times.enqueue(50)
        with pytest.raises(JobDeadError, match="SystemExit: 3"):
            await job.result(timeout=WITHIN)
        check_drains(worker)


async def test_an_error_in_the_event_loop_that_belongs_to_no_job_is_logged(url: str, tmp_path: Path) -> None:
    with running_workers(tmp_path, url, APP, "a", ALARM="1") as (worker,):
        eventually(
            "it is logged", lambda: worker.log_count("raised tests.chaos.handlers.exits.AlarmError: ring (") == 1
        )
        assert "exits.py:" in worker.log()
        assert await (await exits.neighbour.enqueue(0.1)).result(timeout=30) == 1
        check_drains(worker)


async def test_a_job_that_breaks_the_event_loop_ends_the_worker_and_the_jobs_run_again(
    url: str, tmp_path: Path
) -> None:
    with running_workers(tmp_path, url, APP, "a", "b", CONCURRENCY="2") as workers:
        neighbours = [await exits.neighbour.enqueue(1.0) for _ in range(3)]
        job = await exits.closes_descriptors.options(max_crashes=1).enqueue()
        with pytest.raises(JobDeadError, match="WorkerLost: the worker process exited with code 1"):
            await job.result(timeout=WITHIN)
        log = "".join(worker.log() for worker in workers)
        assert log.count("the event loop broke") == 1
        assert "CancelledError" not in log
        assert {await one.result(timeout=30) for one in neighbours} <= {1, 2}


async def test_an_error_of_a_task_that_outlives_its_job_is_logged_and_fails_no_job(url: str, tmp_path: Path) -> None:
    with running_workers(tmp_path, url, APP, "a") as (worker,):
        neighbours = await exits.neighbour.enqueue(1.0)
        job = await exits.leaves_a_task_behind.enqueue()
        assert await job.result(timeout=WITHIN) == "done"
        said = f"{job.id}: code that it left running raised SystemExit: 3"
        eventually("the job is logged", lambda: worker.log_count(said) == 1, detail=worker.log)
        assert await neighbours.result(timeout=30) == 1
        check_drains(worker)


async def test_an_exit_of_a_task_that_outlives_its_job_does_not_change_the_exit_code(url: str, tmp_path: Path) -> None:
    """Tasks that jobs left running are cancelled when all jobs are settled; their exceptions change nothing."""
    with running_workers(tmp_path, url, APP, "a") as (worker,):
        for _ in range(3):
            job = await exits.exits_when_cancelled.enqueue()
            assert await job.result(timeout=WITHIN) == "done"
        check_drains(worker)
