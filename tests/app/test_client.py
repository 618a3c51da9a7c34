"""Enqueue jobs and read their results, from coroutines, sync code and threads."""

import asyncio
import functools
import gc
import math
import threading
import warnings
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from jobpools import (
    App,
    ArgumentsError,
    ConfigurationError,
    JobCancelledError,
    JobDeadError,
    JobNotFoundError,
    PayloadTooLargeError,
    ResultTimeoutError,
    Retry,
    StoreError,
    StoreUnavailableError,
)
from jobpools.testing import run_until_idle
from tests.support.ports import free_port


async def test_result_with_timeout_0_reads_the_state_once(app: App) -> None:
    @app.job(retry=Retry(strategy="none"))
    async def divide(by: int) -> float:
        return 1 / by

    good, bad, gone = await divide.enqueue(2), await divide.enqueue(0), await divide.options(delay=60).enqueue(1)
    for job in (good, bad, gone):
        with pytest.raises(
            ResultTimeoutError, match=r"had not ended after 0s: it is (queued|scheduled); wait longer, or cancel it$"
        ):
            await job.result(timeout=0)
    await gone.cancel()
    await run_until_idle(app)
    assert await good.result(timeout=0) == 0.5
    with pytest.raises(JobDeadError, match=r"dead after 1 attempt: ZeroDivisionError: division by zero$"):
        await bad.result(timeout=0)
    with pytest.raises(JobCancelledError, match="was cancelled"):
        await gone.result(timeout=0)
    with pytest.raises(JobNotFoundError):
        await app.handle("no-such-job").result(timeout=0)


async def test_the_timeout_of_result_is_a_duration(app: App) -> None:
    @app.job
    async def noop() -> None: ...

    job = await noop.options(delay=60).enqueue()
    for timeout in (-1, "0s", timedelta(0), math.nan):
        with pytest.raises(ResultTimeoutError, match="had not ended after 0s: it is scheduled"):
            await job.result(timeout=timeout)
    with pytest.raises(ResultTimeoutError, match="had not ended after 20ms"):
        await job.result(timeout="20ms")
    for invalid in ("5", [5]):
        with pytest.raises(ConfigurationError, match=r"^result: timeout: .* is not a duration; "):
            await job.result(timeout=invalid)  # type: ignore[arg-type]  # the subject
    await job.cancel()
    with pytest.raises(JobCancelledError):
        await job.result(timeout=math.inf)


async def test_enqueue_many_takes_an_iterator_of_calls(app: App) -> None:
    @app.job
    async def double(n: int) -> int:
        return 2 * n

    jobs = await app.enqueue_many(double.call(n) for n in range(3))
    await run_until_idle(app)
    assert [await job.result() for job in jobs] == [0, 2, 4]


async def test_cancel_returns_the_state_of_an_ended_job_and_fails_for_an_unknown_job(app: App) -> None:
    @app.job
    async def noop() -> None: ...

    job = await noop.enqueue()
    await run_until_idle(app)
    assert await job.cancel() == "completed", "a job that has ended keeps its state"
    await job.result()
    with pytest.raises(JobNotFoundError):
        await app.handle("no-such-job").cancel()


def test_one_app_in_several_event_loops_and_in_sync_code(valkey_url: str) -> None:
    app = App("shop", redis=valkey_url)

    @app.job
    async def double(n: int) -> int:
        return 2 * n

    async def send(n: int) -> str:
        async with app:
            return (await double.enqueue(n)).id

    async def work(ids: list[str]) -> list[int]:
        async with app:
            await run_until_idle(app)
            return [await app.handle(job_id).result() for job_id in ids]

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        ids = [asyncio.run(send(1)), double.enqueue_sync(2).id, asyncio.run(send(3))]
        assert asyncio.run(work(ids)) == [2, 4, 6]
        gc.collect()
    assert [str(warning.message) for warning in warned] == []


def test_threads_share_an_app(valkey_url: str) -> None:
    app = App("shop", redis=valkey_url)

    @app.job
    async def noop(n: int) -> None: ...

    ids: list[str] = []

    def send(start: int) -> None:
        ids.extend([noop.enqueue_sync(start + n).id for n in range(25)])

    threads = [threading.Thread(target=send, args=(100 * n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 200

    async def work() -> int:
        async with app:
            return (await run_until_idle(app)).metrics.completed

    assert asyncio.run(work()) == 200


async def test_an_unreachable_redis_is_an_error_in_one_line_without_the_password() -> None:
    async with App("shop", redis=f"redis://:secret@127.0.0.1:{free_port()}/0") as app:

        @app.job
        async def noop() -> None: ...

        with pytest.raises(
            StoreUnavailableError, match=r"^redis://:\*\*\*@127\.0\.0\.1:\d+/0: cannot be reached: "
        ) as raised:
            await noop.enqueue()
        assert "\n" not in str(raised.value)
        with pytest.raises(StoreError):
            noop.enqueue_sync()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delay": "soon"}, "delay: 'soon' is not a duration"),
        ({"timeout": -1}, "timeout: -1 is not a duration"),
        ({"priority": "urgent"}, "priority: 'urgent' is not a priority; use high, normal or low"),
        ({"at": datetime(2030, 1, 1)}, "has no time zone"),  # noqa: DTZ001  # the subject
        ({"at": "soon"}, "at: 'soon' is not a datetime"),
        ({"id": "two words"}, "id: 'two words' cannot be an id"),
        ({"id": ""}, "id: '' cannot be an id"),
        ({"color": 1}, "color: no such option; known: at, delay"),
    ],
)
async def test_invalid_options_are_refused(app: App, options: dict[str, object], message: str) -> None:
    @app.job
    async def noop() -> None: ...

    with pytest.raises(ConfigurationError, match=message):
        await noop.options(**options).enqueue()  # type: ignore[arg-type]  # the subject


async def test_a_job_with_a_past_time_runs_at_once(app: App) -> None:
    @app.job
    async def noop() -> int:
        return 1

    job = await noop.options(at=datetime(2020, 1, 1, tzinfo=UTC)).enqueue()
    await run_until_idle(app)
    assert await job.result() == 1


def test_functions_that_cannot_be_handlers_are_refused() -> None:
    app = App("shop")

    @app.job
    async def send() -> None: ...

    with pytest.raises(ConfigurationError, match="job send: duplicate name"):
        app.job(name="send")(lambda: None)
    with pytest.raises(ConfigurationError, match="send is a job already"):
        app.job(send)
    with pytest.raises(ConfigurationError, match="has no name; give it one"):
        app.job(functools.partial(print))
    with pytest.raises(ConfigurationError, match="job stream: a generator cannot be a job"):

        @app.job
        async def stream() -> AsyncIterator[int]:
            yield 1

    with pytest.raises(ConfigurationError, match="does not fit a coroutine function"):

        @app.job(executor="thread")
        async def wrong() -> None: ...


@pytest.mark.parametrize(("name", "tags"), [("caf\udce9", []), ("send", ["caf\udce9"])])
async def test_a_name_or_tag_with_half_a_surrogate_pair_is_refused(app: App, name: str, tags: list[str]) -> None:
    with pytest.raises(ArgumentsError, match="not UTF-8"):
        await app.enqueue(name, {}, queue="default", tags=tags)


async def test_waiting_for_a_result_does_not_read_whole_queues_or_leases(app: App, valkey_url: str) -> None:
    """Reading all leases of a queue transfers 6 MB when 100,000 jobs run."""

    @app.job
    async def later() -> None: ...

    job = await later.enqueue()
    async with Redis.from_url(valkey_url) as client:
        await client.config_resetstat()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await job.result()
        calls = {name for name in await client.info("commandstats") if not name.endswith(("config|resetstat", "hello"))}
    assert {"cmdstat_evalsha", "cmdstat_zscore"} <= calls, "it registered, and checked whether the job had ended"
    assert not {"cmdstat_zrange", "cmdstat_lrange"} & calls, calls


async def test_a_payload_over_the_limit_is_refused_and_nothing_is_written(valkey_url: str) -> None:
    async with App("shop", redis=valkey_url, max_payload=2000) as app, Redis.from_url(valkey_url) as raw:

        @app.job
        async def load(text: str) -> None: ...

        with pytest.raises(PayloadTooLargeError, match=r"^load: the encoded job takes \d+ bytes, more than 2000"):
            await load.enqueue("x" * 2000)
        with pytest.raises(PayloadTooLargeError):
            await app.enqueue_many([load.call("fits"), load.call("x" * 2000)])
        assert await raw.dbsize() == 0
        await load.enqueue("x" * 1700)


async def test_a_retry_function_cannot_be_sent_with_a_job(app: App, valkey_url: str) -> None:
    @app.job
    async def noop() -> None: ...

    with pytest.raises(ConfigurationError, match=r"^noop: a retry function cannot be sent with a job"):
        await noop.options(retry=Retry(function=lambda _attempt, _error: 1.0)).enqueue()
    async with Redis.from_url(valkey_url) as raw:
        assert await raw.dbsize() == 0
