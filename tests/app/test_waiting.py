"""Callers that wait for results are notified when jobs end, also after outages and lost messages."""

import asyncio
import gc
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from jobpools import (
    App,
    Handler,
    JobCancelledError,
    JobDeadError,
    JobNotFoundError,
    ResultTimeoutError,
    Retry,
    StoreUnavailableError,
    waiting,
)
from jobpools.store import endings, keys
from jobpools.testing import run_until_idle
from tests.runtime.conftest import working
from tests.support.ports import free_port
from tests.support.servers import Server, running, valkey_binary
from tests.support.waiting import eventually, until

Double = Handler[[int], int]


def make(url: str, **options: Any) -> tuple[App, Double]:
    app = App("shop", redis=url)

    @app.job(retry=Retry(strategy="none"), **options)
    async def double(n: int) -> int:
        if n < 0:
            raise ValueError("negative")
        return 2 * n

    return app, double


@pytest.fixture
async def raw(valkey_url: str) -> AsyncIterator[Redis]:
    with Redis.from_url(valkey_url) as made:
        yield made


async def registered(raw: Redis, count: int, queue: str = "default") -> None:
    """Wait until this many jobs are registered; one more field of the key holds a time."""
    await until(lambda: raw.hlen(keys.of_queue(queue, "waiters")) == count + 1)


async def test_two_thousand_waiting_callers_cost_few_commands_and_little_cpu(valkey_url: str, raw: Redis) -> None:
    app, double = make(valkey_url)
    jobs = await app.enqueue_many(double.call(n) for n in range(2000))
    results = asyncio.gather(*(job.result(timeout=100) for job in jobs))
    await registered(raw, 2000)
    before, used, begun = raw.info("stats")["total_commands_processed"], time.process_time(), time.monotonic()
    await asyncio.sleep(waiting.REGISTRATION_INTERVAL + 1)  # they register again once
    seconds = time.monotonic() - begun
    assert (raw.info("stats")["total_commands_processed"] - before) / seconds < 50
    assert (time.process_time() - used) / seconds < 0.05
    async with working(app):
        assert await results == [2 * n for n in range(2000)]
    assert raw.exists("jobpools:{default}:waiters:old") == 0
    assert raw.hlen("jobpools:{default}:waiters") <= 1, "registrations of ended jobs are removed"
    await app.aclose()


async def test_a_result_arrives_within_ten_milliseconds_of_the_settlement(valkey_url: str, raw: Redis) -> None:
    app, double = make(valkey_url)
    ended: list[float] = []

    @app.middleware
    async def around(ctx: Any, call_next: Any) -> Any:  # noqa: ARG001
        value = await call_next()
        ended.append(time.monotonic())
        return value

    async with working(app):
        delays = []
        for n in range(50):
            job = await double.options(delay=0.02).enqueue(n)
            await job.result(timeout=30)
            delays.append(time.monotonic() - ended[-1])
    assert sorted(delays)[25] < 0.010, sorted(delays)
    del raw
    await app.aclose()


async def test_every_kind_of_end_ends_the_wait(valkey_url: str, raw: Redis) -> None:
    app, double = make(valkey_url)
    good, bad, stopped = await app.enqueue_many([double.call(1), double.call(-1), double.options(delay=60).call(2)])
    unkept = await double.options(result_ttl=0).enqueue(3)
    results_of_all = asyncio.gather(*(each.result() for each in (good, bad, stopped, unkept)), return_exceptions=True)
    await registered(raw, 4)
    await stopped.cancel()
    async with working(app):
        results = await asyncio.wait_for(results_of_all, waiting.REGISTRATION_INTERVAL / 2)
    assert results[0] == 2
    kinds = [JobDeadError, JobCancelledError, JobNotFoundError]
    assert [type(each) for each in results[1:]] == kinds
    with pytest.raises(JobNotFoundError):
        await app.handle("no-such-job").result()
    with pytest.raises(JobDeadError):
        await bad.result()
    await app.aclose()


async def test_many_wait_for_the_same_job_here_and_in_other_processes(valkey_url: str, raw: Redis) -> None:
    app, double = make(valkey_url)
    job = await double.enqueue(21)
    code = (
        "import asyncio, sys\nfrom jobpools import App\napp = App('shop', redis=sys.argv[1])\n"
        "print(asyncio.run(app.handle(sys.argv[2]).result(timeout=60)), app.handle(sys.argv[2]).result_sync(60))"
    )
    command = [sys.executable, "-W", "error", "-c", code, valkey_url, job.id]
    others = await asyncio.to_thread(started, command, 3)
    here = asyncio.gather(*(job.result() for _ in range(100)))
    key = keys.of_queue("default", "waiters")
    await until(lambda: len((raw.hget(key, job.id) or b"").split()) == 4)  # type: ignore[union-attr]
    async with working(app):
        assert await here == [42] * 100
        ends = [await asyncio.to_thread(other.communicate, timeout=60) for other in others]
    assert ends == [("42 42\n", "")] * 3
    await app.aclose()


async def test_sync_code_waits_in_many_threads_on_one_subscription(valkey_url: str, raw: Redis) -> None:
    app, double = make(valkey_url)
    jobs = app.enqueue_many_sync(double.call(n) for n in range(20))
    with ThreadPoolExecutor(20) as pool:
        waits = [asyncio.wrap_future(pool.submit(job.result_sync, 60)) for job in jobs]
        await registered(raw, 20)
        assert len(raw.pubsub_channels(f"{keys.ENDED_CHANNEL}:*")) == 1
        with pytest.raises(ResultTimeoutError, match="had not ended after 10ms"):
            jobs[0].result_sync(timeout="10ms")
        async with working(app):
            assert await asyncio.gather(*waits) == [2 * n for n in range(20)]
    await app.aclose()
    eventually("the subscription is gone", lambda: not raw.pubsub_channels(f"{keys.ENDED_CHANNEL}:*"))


async def test_a_cancelled_caller_leaves_no_task_and_no_registration(valkey_url: str, raw: Redis) -> None:
    app, double = make(valkey_url)
    first, second = await app.enqueue_many([double.options(delay=60).call(n) for n in range(2)])
    tasks = [asyncio.create_task(job.result()) for job in (first, first, second)]
    await registered(raw, 2)
    waiters = app.client.waiters()
    tasks[0].cancel()
    tasks[2].cancel()
    await asyncio.wait([tasks[0], tasks[2]])
    assert set(waiters._waiting) == {("default", first.id)}
    tasks[1].cancel()
    await asyncio.wait(tasks)
    assert not waiters._waiting
    assert asyncio.all_tasks() == {asyncio.current_task()}
    with pytest.raises(ResultTimeoutError):
        await first.result(timeout=0.05)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await app.aclose()


@pytest.mark.parametrize("end", ["run", "close"])
def test_a_closed_loop_leaves_no_warning_descriptor_or_thread(valkey_url: str, end: str) -> None:
    _, double = make(valkey_url)
    job = double.enqueue_sync(1)

    def run_until_complete() -> None:
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(job.result(timeout=0.02))
        finally:
            loop.close()

    asyncio.run(double.enqueue(0))
    before, threads = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for _ in range(20):
            with pytest.raises(ResultTimeoutError):
                asyncio.run(job.result(timeout=0.02)) if end == "run" else run_until_complete()
        asyncio.run(double.enqueue(2))
        gc.collect()
    assert [str(each.message) for each in warned] == []
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
    assert threading.active_count() <= threads


def test_loops_that_end_after_a_result_log_no_asyncio_error(valkey_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """The loop ends while the subscription is open."""
    app, double = make(valkey_url)

    async def served() -> int:
        other, _ = make(valkey_url)
        job = await double.enqueue(4)
        working = asyncio.create_task(run_until_idle(other))
        found = await job.result(timeout=60)
        await working
        await other.aclose()
        return found

    for _ in range(10):
        assert asyncio.run(served()) == 8
    app.close()
    assert [each.getMessage() for each in caplog.records if each.name == "asyncio"] == []


async def test_a_broken_subscription_loses_no_result(valkey_url: str, raw: Redis) -> None:
    app, double = make(valkey_url)
    async with working(app):
        for number in range(20):
            job = await double.options(delay=0.05).enqueue(number)
            result = asyncio.create_task(job.result())
            await until(lambda job=job: raw.hexists("jobpools:{default}:waiters", job.id) or result.done())  # type: ignore[misc]  # noqa: B023
            raw.client_kill_filter(_type="pubsub")
            assert await asyncio.wait_for(result, waiting.REGISTRATION_INTERVAL / 2) == 2 * number
    await app.aclose()


async def test_a_lost_message_is_found_by_the_next_registration(
    valkey_url: str, raw: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "REGISTRATION_INTERVAL", 0.3)
    app, double = make(valkey_url)
    job = await double.enqueue(1)
    result = asyncio.create_task(job.result())
    await registered(raw, 1)
    raw.delete("jobpools:{default}:waiters")  # as a failover to a replica that is behind
    await run_until_idle(app)
    assert await asyncio.wait_for(result, 30) == 2
    await app.aclose()


async def test_a_caller_waits_through_an_outage(tmp_path: Path) -> None:
    with running(valkey_binary(), tmp_path) as server:
        app, double = make(server.url)
        job = await double.enqueue(4)
        result = asyncio.create_task(job.result())
        with server.client() as raw:
            await registered(raw, 1)
        await asyncio.to_thread(restart, server)
        other, _ = make(server.url)
        await run_until_idle(other)
        assert await asyncio.wait_for(result, 30) == 8
        await other.aclose()
        await app.aclose()


def restart(server: Server) -> None:
    server.kill()
    time.sleep(0.3)  # longer than a reconnection takes
    server.start()


async def test_an_unreachable_server_is_an_error_at_once() -> None:
    app = App("shop", redis=f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(StoreUnavailableError):
        await asyncio.wait_for(app.handle("any").result(), 10)
    with pytest.raises(StoreUnavailableError):
        await asyncio.to_thread(app.handle("any").result_sync, 5)
    await app.aclose()


async def test_an_unexpected_error_fails_all_waiting_callers(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app, double = make(valkey_url)
    job = await double.enqueue(1)

    async def broken(*_: Any) -> list[str]:
        raise RuntimeError("unexpected")

    with monkeypatch.context() as patch:
        patch.setattr(endings, "register", broken)
        with pytest.raises(RuntimeError, match="unexpected"):
            await asyncio.wait_for(job.result(), 10)
    result = asyncio.create_task(job.result())
    await run_until_idle(app)
    assert await asyncio.wait_for(result, 10) == 2, "the next caller gets its result"
    await app.aclose()


async def test_workers_continue_without_the_right_to_publish(valkey_url: str, raw: Redis) -> None:
    """An ACL user of an older version may not use the channels: its workers still run jobs."""
    raw.acl_setuser("old", enabled=True, passwords=["+pw"], commands=["+@all"], keys=["*"], channels=["jobpools:wake"])
    try:
        app, double = make(valkey_url)
        job = await double.enqueue(1)
        result = asyncio.create_task(job.result())
        await registered(raw, 1)
        other, _ = make(valkey_url.replace("redis://", "redis://old:pw@"))
        await run_until_idle(other)
        assert await job.state() == "completed"
        result.cancel()
        await asyncio.wait([result])
        await other.aclose()
        await app.aclose()
    finally:
        raw.acl_deluser("old")


async def test_registrations_expire_unless_they_are_renewed(app: App, raw: Redis) -> None:
    """A registration that is not renewed is removed at the second rotation."""

    @app.job
    async def later() -> None: ...

    first, second = [await later.options(delay=600).enqueue() for _ in range(2)]
    connection, now = app.client.connection(), int(raw.time()[0]) * 1000

    async def register(channel: str, at: int, *ids: str) -> list[int]:
        reply: list[int] = await connection.call("wait", "default", [now + at, channel, *ids])
        return reply

    assert await register("gone", 0, first.id, second.id) == [1, 1]
    assert await register("here", 1, first.id) == [1]
    assert await register("here", 31_000, first.id) == [1]
    assert raw.hget("jobpools:{default}:waiters:old", second.id) == b"gone"
    assert await register("here", 62_000, first.id) == [1]
    known = raw.hgetall("jobpools:{default}:waiters") | raw.hgetall("jobpools:{default}:waiters:old")  # type: ignore[operator]
    assert {known.get(first.id.encode()), known.get(second.id.encode())} == {b"here", None}
    assert 0 < raw.pttl("jobpools:{default}:waiters:old") <= 60_000
    assert await register("", 62_001, first.id, "no-such-job") == [1, 0]
    await app.aclose()


def started(command: list[str], count: int) -> list[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    return [subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) for _ in range(count)]
