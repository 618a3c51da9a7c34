"""Options that one job sets differently from its handler."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from jobpools import App, ConfigurationError, Context, JobState
from jobpools.testing import run_until_idle


async def test_jobs_of_a_higher_priority_run_first(app: App) -> None:
    order: list[str] = []

    @app.job
    async def note(what: str) -> None:
        order.append(what)

    await note.options(priority="low").enqueue("low")
    await note.enqueue("normal")
    await note.options(priority="high").enqueue("high")
    await run_until_idle(app, concurrency=1)
    assert order == ["high", "normal", "low"]


async def test_a_job_runs_after_its_delay_or_at_its_time(app: App) -> None:
    @app.job
    async def when() -> float:
        return time.time()

    sent = time.time()
    later = await when.options(delay="200ms").enqueue()
    moment = await when.options(at=datetime.now(UTC) + timedelta(milliseconds=100)).enqueue()
    assert await later.state() is JobState.SCHEDULED
    await run_until_idle(app)
    assert await later.result() >= sent + 0.2
    assert await moment.result() >= sent + 0.1


async def test_an_own_id_makes_enqueue_idempotent(app: App) -> None:
    total = 0

    @app.job
    async def charge(cents: int) -> None:
        nonlocal total
        total += cents

    first = await charge.options(id="order-7").enqueue(1000)
    again = await charge.options(id="order-7").enqueue(1000)
    assert (first.new, again.new, again.id) == (True, False, "order-7")
    await run_until_idle(app)
    assert total == 1000


async def test_a_handler_reads_the_tags_of_its_job(app: App) -> None:
    @app.job
    async def tags(ctx: Context) -> list[str]:
        return list(ctx.tags)

    job = await tags.options(tags=["vip", "eu"]).enqueue()
    await run_until_idle(app)
    assert await job.result() == ["vip", "eu"]


async def test_one_job_can_use_another_queue(app: App) -> None:
    @app.job(queue="emails")
    async def where(ctx: Context) -> str:
        return ctx.queue

    usual, urgent = await where.enqueue(), await where.options(queue="urgent").enqueue()
    await run_until_idle(app, queues=["emails", "urgent"])
    assert (await usual.result(), await urgent.result()) == ("emails", "urgent")


async def test_one_job_can_have_another_timeout(app: App) -> None:
    @app.job(timeout="2m")
    async def limit(ctx: Context) -> float:
        return ctx.timeout

    usual, short = await limit.enqueue(), await limit.options(timeout="30s").enqueue()
    await run_until_idle(app)
    assert (await usual.result(), await short.result()) == (120, 30)


async def test_an_option_that_does_not_exist_is_refused(app: App) -> None:
    @app.job
    async def noop() -> None: ...

    with pytest.raises(ConfigurationError, match="dely: no such option; did you mean delay"):
        noop.options(dely="10s")  # type: ignore[call-arg]  # wrong on purpose


async def test_a_time_needs_a_time_zone(app: App) -> None:
    @app.job
    async def noop() -> None: ...

    with pytest.raises(ConfigurationError, match="has no time zone"):
        noop.options(at=datetime(2030, 1, 1))  # noqa: DTZ001  # wrong on purpose
