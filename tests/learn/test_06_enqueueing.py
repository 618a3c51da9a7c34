"""Other ways to enqueue: from sync code, many jobs at once, by name, to another team's queue."""

import asyncio

import pytest

from jobpools import App, JobState, PayloadTooLargeError, UnknownJobError
from jobpools.testing import run_until_idle


async def test_sync_code_enqueues_jobs(app: App) -> None:
    @app.job
    async def greet(name: str) -> str:
        return f"Hello {name}"

    def view() -> str:  # a Django view, say
        return greet.enqueue_sync("Ada").id

    job_id = await asyncio.to_thread(view)
    await run_until_idle(app)
    assert await app.handle(job_id).result() == "Hello Ada"


async def test_sync_code_reads_states_and_results(app: App) -> None:
    @app.job
    async def add(a: int, b: int) -> int:
        return a + b

    def view() -> tuple[JobState, JobState, int]:
        first, second = app.enqueue_many_sync([add.call(1, 2), add.options(delay="1h").call(3, 4)])
        return second.state_sync(), second.cancel_sync(), first.result_sync(timeout=30)

    following = asyncio.create_task(asyncio.to_thread(view))
    while not following.done():
        await run_until_idle(app)
    assert await following == (JobState.SCHEDULED, JobState.CANCELLED, 3)


async def test_jobs_of_one_call_may_differ_in_handler_and_options(app: App) -> None:
    @app.job
    async def add(a: int, b: int) -> int:
        return a + b

    @app.job(queue="mail")
    async def send(to: str) -> str:
        return to

    calls = [add.call(1, 2), send.options(priority="high").call("ada"), add.options(delay="50ms").call(3, 4)]
    jobs = await app.enqueue_many(calls)
    await run_until_idle(app)
    assert [await job.result() for job in jobs] == [3, "ada", 7]


async def test_a_job_of_another_app_is_enqueued_by_name_and_queue(app: App) -> None:
    job = await app.enqueue("billing.invoice", {"order": 7}, queue="billing", priority="high")
    assert await job.state() is JobState.QUEUED

    billing = App("billing", redis=app.client.url, queue="billing")

    @billing.job(name="billing.invoice")
    async def invoice(order: int) -> str:
        return f"invoice for {order}"

    await run_until_idle(billing)
    assert await job.result() == "invoice for 7"
    await billing.aclose()


async def test_an_unknown_name_needs_a_queue(app: App) -> None:
    with pytest.raises(UnknownJobError, match=r"app shop: no job 'greet'; give queue= for a job of another app$"):
        await app.enqueue("greet")


async def test_a_job_without_a_handler_stays_in_its_queue(app: App) -> None:
    @app.job
    async def known() -> None: ...

    job = await app.enqueue("unknown", queue="default")
    await run_until_idle(app)
    assert await job.state() is JobState.SCHEDULED  # workers check it again every 30 s, and never drop it


async def test_a_large_payload_is_refused(valkey_url: str) -> None:
    async with App("shop", redis=valkey_url, max_payload=10_000) as app:

        @app.job
        async def store(text: str) -> None: ...

        with pytest.raises(PayloadTooLargeError, match="send a reference to the data instead"):
            await store.enqueue("x" * 10_000)
