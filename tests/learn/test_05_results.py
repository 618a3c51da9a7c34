"""Results: how long they are kept, and how another process reads them."""

import asyncio

import pytest

from jobpools import App, JobNotFoundError, JobState
from jobpools.testing import run_until_idle


async def test_a_result_has_the_handlers_return_type_and_can_be_read_again(app: App) -> None:
    @app.job
    async def answer() -> int:
        return 42

    job = await answer.enqueue()
    await run_until_idle(app)
    result: int = await job.result()
    assert result == 42
    assert await job.result() == 42  # as often as you like


async def test_result_ttl_zero_keeps_no_result(app: App) -> None:
    @app.job(result_ttl=0)
    async def noop() -> None: ...

    job = await noop.enqueue()
    await run_until_idle(app)
    with pytest.raises(JobNotFoundError, match="it never existed, or its result has expired"):
        await job.result()


async def test_a_result_is_removed_after_its_ttl(app: App) -> None:
    @app.job(result_ttl="1s")
    async def noop() -> None: ...

    job = await noop.enqueue()
    await run_until_idle(app)
    await job.result()
    await asyncio.sleep(1.01)  # the result expires
    await noop.enqueue()
    await run_until_idle(app)  # any worker of the queue removes it
    with pytest.raises(JobNotFoundError):
        await job.state()


async def test_another_process_reads_a_job_by_its_id(app: App) -> None:
    @app.job(queue="reports")
    async def report() -> dict[str, int]:
        return {"orders": 7}

    sent = await report.enqueue()
    await run_until_idle(app)

    job = app.handle(sent.id, queue="reports")
    assert await job.state() is JobState.COMPLETED
    assert await job.result() == {"orders": 7}


async def test_a_caller_waits_for_the_result_while_the_job_runs(app: App) -> None:
    @app.job
    async def slow() -> str:
        await asyncio.sleep(0.05)
        return "done"

    job = await slow.enqueue()
    result, _ = await asyncio.gather(job.result(timeout=10), run_until_idle(app))
    assert result == "done"


async def test_a_caller_waits_for_many_results_together(app: App) -> None:
    @app.job
    async def double(n: int) -> int:
        return 2 * n

    jobs = await app.enqueue_many(double.call(n) for n in range(300))
    results, _ = await asyncio.gather(asyncio.gather(*(job.result(timeout=30) for job in jobs)), run_until_idle(app))
    assert results == [2 * n for n in range(300)]


async def test_run_until_idle_names_the_jobs_that_are_left_after_its_timeout(app: App) -> None:
    @app.job
    async def endless() -> None:
        await asyncio.sleep(60)

    await endless.enqueue()
    says = (
        r"^run_until_idle: not idle after 0\.3 s: default: (0 queued, .*, 1 running \(endless .*\)|1 queued, .*); raise"
    )
    with pytest.raises(TimeoutError, match=says):
        await run_until_idle(app, timeout=0.3)
