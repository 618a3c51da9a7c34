"""Results of many jobs as they end, the error of a dead job, and results that are too large."""

import asyncio
import contextlib
import copy
import time
import traceback

import pytest

from jobpools import (
    App,
    Handler,
    JobDeadError,
    JobHandle,
    JobNotFoundError,
    ResultTimeoutError,
    Retry,
    results,
    results_sync,
)
from jobpools.core.jobs.policies import KEEP_COMPLETED
from jobpools.settings import DEFAULT_MAX_PAYLOAD
from jobpools.store.jobs import read_result
from jobpools.testing import run_until_idle
from tests.support.waiting import until


@pytest.fixture
def work(app: App) -> Handler[[float], float]:
    @app.job(retry=Retry(strategy="none"))
    async def work(seconds: float) -> float:
        if seconds < 0:
            raise ValueError(f"cannot sleep for {seconds}\nsecond line")
        await asyncio.sleep(seconds)
        return seconds

    return work


async def test_results_arrive_in_the_order_in_which_the_jobs_end(app: App, work: Handler[[float], float]) -> None:
    jobs = await app.enqueue_many([work.call(seconds) for seconds in (0.6, 0.0, 0.3)])
    running = asyncio.create_task(run_until_idle(app))
    found = [(jobs.index(job), value) async for job, value in app.results(jobs, timeout="20s")]
    assert found == [(1, 0.0), (2, 0.3), (0, 0.6)]
    await running
    assert sorted([value async for _, value in results(jobs, timeout=0)]) == [0.0, 0.3, 0.6]
    nothing: list[JobHandle[int]] = []
    assert [value async for _, value in results(nothing)] == []


async def test_a_job_without_a_result_ends_the_iteration_or_is_yielded(app: App, work: Handler[[float], float]) -> None:
    jobs = await app.enqueue_many([work.call(0.0), work.call(-1.0)])
    gone = app.handle("no-such-job")
    await run_until_idle(app)
    with pytest.raises(JobDeadError, match="ValueError: cannot sleep"):
        async for _ in results([jobs[1]]):
            pass
    found = {job.id: value async for job, value in results([*jobs, gone], return_exceptions=True)}
    assert found[jobs[0].id] == 0.0
    assert isinstance(found[jobs[1].id], JobDeadError)
    assert isinstance(found["no-such-job"], JobNotFoundError)


async def test_sync_code_reads_results_in_the_order_in_which_the_jobs_end(
    app: App, work: Handler[[float], float]
) -> None:
    jobs = await app.enqueue_many([work.call(seconds) for seconds in (0.3, 0.0, -1.0)])

    def collect() -> list[tuple[int, object]]:
        with pytest.raises(JobDeadError, match="ValueError: cannot sleep"):
            list(results_sync(jobs[2:], timeout="20s"))
        (first, *_) = results_sync(jobs[:2])
        found = app.results_sync(jobs, timeout="20s", return_exceptions=True)
        return [(jobs.index(job), value) for job, value in (first, *found)]

    reading = asyncio.create_task(asyncio.to_thread(collect))
    await run_until_idle(app)
    (first, fastest), *found = await reading
    assert (first, fastest) == (1, 0.0)
    assert {index: value for index, value in found if index < 2} == {0: 0.3, 1: 0.0}
    assert isinstance(dict(found)[2], JobDeadError)
    nothing: list[JobHandle[int]] = []
    assert list(results_sync(nothing)) == []


async def test_sync_code_that_stops_early_or_waits_too_long_leaves_no_tasks(
    app: App, work: Handler[[float], float]
) -> None:
    jobs = await app.enqueue_many([work.call(0.0)] * 3)

    def stop_early() -> int:
        with pytest.raises(ResultTimeoutError, match="results: 3 of 3 jobs had not ended after 50ms"):
            next(results_sync(jobs, timeout="50ms"))
        with (
            contextlib.closing(results_sync(jobs, timeout=0, return_exceptions=True)) as waiting,
            contextlib.suppress(ResultTimeoutError),
        ):
            next(waiting)
        return app.client.run_sync(count_tasks)

    async def count_tasks() -> int:
        return sum(task.get_name() != "jobpools results" for task in asyncio.all_tasks()) - 2

    assert await asyncio.to_thread(stop_early) == 0


async def test_a_result_is_kept_for_a_day_by_default(app: App, work: Handler[[float], float]) -> None:
    job = await work.enqueue(0.0)
    await run_until_idle(app)
    record = await read_result(app.client.connection(), job.queue, job.id)
    assert record is not None
    assert record.until - record.at == 86_400
    assert (KEEP_COMPLETED, DEFAULT_MAX_PAYLOAD) == (100_000, 1024 * 1024)


@pytest.mark.parametrize("return_exceptions", [False, True])
async def test_one_timeout_holds_for_all_jobs(
    app: App, work: Handler[[float], float], *, return_exceptions: bool
) -> None:
    done = await work.enqueue(0.0)
    await run_until_idle(app)
    jobs = [done, *await app.enqueue_many([work.call(1.0)] * 2)]
    seen: list[float | Exception] = []
    before = time.monotonic()

    async def collect() -> None:
        async for _, value in results(jobs, timeout="300ms", return_exceptions=return_exceptions):
            seen.append(value)

    with pytest.raises(ResultTimeoutError, match="results: 2 of 3 jobs had not ended after 300ms"):
        await collect()
    assert seen == [0.0]
    assert 0.3 <= time.monotonic() - before < 5
    with pytest.raises(ResultTimeoutError):
        async for _ in results(jobs, timeout=0, return_exceptions=return_exceptions):
            pass


async def test_an_iteration_that_is_left_early_leaves_no_tasks(app: App, work: Handler[[float], float]) -> None:
    jobs = await app.enqueue_many([work.call(0.0)] * 3)
    before = asyncio.all_tasks()
    waiting = results(jobs)
    async with contextlib.aclosing(waiting):
        first = asyncio.create_task(anext(waiting))
        await until(lambda: len(asyncio.all_tasks() - before) > len(jobs))
        first.cancel()
        await asyncio.wait([first])
    assert asyncio.all_tasks() == before


async def test_the_error_of_a_dead_job_shows_type_message_and_traceback_of_the_worker(app: App) -> None:
    @app.job(retry=Retry(max_attempts=2, initial=0))
    def convert(text: str) -> int:
        return int(text)

    job = await convert.enqueue("seven")
    await run_until_idle(app)
    with pytest.raises(JobDeadError) as caught:
        await job.result()
    error = caught.value
    assert (error.error_type, error.attempts, error.crashes, error.reason) == ("ValueError", 2, 0, "attempts")
    assert error.error_message == "invalid literal for int() with base 10: 'seven'"
    assert "return int(text)" in error.remote_traceback
    assert str(error) == f"job {job.id} (convert) is dead after 2 attempts: ValueError: {error.error_message}"
    printed = "".join(traceback.format_exception(error))
    assert f'RemoteTraceback: \n"""\n{error.remote_traceback.rstrip()}\n"""\n' in printed
    assert printed.rstrip().endswith(str(error))
    copied = copy.copy(error)
    assert (str(copied), copied.error_type, copied.attempts) == (str(error), "ValueError", 2)


async def test_a_timeout_has_no_traceback(app: App) -> None:
    @app.job(retry=Retry(strategy="none"), timeout="50ms")
    async def slow() -> None:
        await asyncio.sleep(30)

    job = await slow.enqueue()
    await run_until_idle(app)
    with pytest.raises(JobDeadError) as caught:
        await job.result()
    assert (caught.value.error_type, caught.value.remote_traceback) == ("TimeoutError", "")
    assert caught.value.__cause__ is None


async def test_a_result_above_the_limit_makes_the_job_a_dead_letter_at_once(app: App) -> None:
    runs: list[str] = []

    @app.job(retry=Retry(max_attempts=5))
    async def large() -> str:
        runs.append("large")
        return "x" * 1_100_000

    job = await large.enqueue()
    await run_until_idle(app)
    with pytest.raises(JobDeadError, match="the result takes 1100002 bytes, more than 1048576") as caught:
        await job.result()
    assert (caught.value.reason, caught.value.error_type) == ("invalid", "jobpools.errors.PayloadTooLargeError")
    assert runs == ["large"], "another attempt would have the same result"
