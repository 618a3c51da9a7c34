"""A worker adds what it measured to the history of its queues."""

import asyncio
import logging

import pytest
from redis import Redis

from jobpools import App
from jobpools.core.jobs.minutes import Minute, summarize
from jobpools.runtime.recorder import EARLIEST, LATEST, QueueRecorder, Recorder
from jobpools.store import keys
from jobpools.store.clock import ServerClock
from jobpools.store.connection import Connection
from jobpools.store.minutes import read_minutes
from jobpools.store.server import server_time
from tests.runtime.conftest import working
from tests.support.waiting import until


async def history(store: Connection, queue: str = "default") -> list[Minute]:
    """Return the records of the last three minutes: a test may run over the end of one."""
    now = int(await server_time(store)) // 60
    return await read_minutes(store, queue, now - 2, now)


async def test_counts_waits_durations_and_slot_time_are_in_the_history_when_a_worker_stopped(
    app: App, store: Connection
) -> None:
    @app.job
    async def nap() -> None:
        await asyncio.sleep(0.05)

    @app.job(queue="other")
    async def fail() -> None:
        raise ValueError("no")

    await app.enqueue_many([nap.call() for _ in range(10)])
    await fail.enqueue()
    async with working(app, concurrency=5) as worker:
        await until(lambda: worker.metrics.completed == 10 and worker.metrics.failed == 1)
    minutes = await history(store)
    found = summarize(minutes, minutes[0].minute, minutes[0].minute + 3, now=2e9)
    assert (found.counts.enqueued, found.counts.completed, found.counts.failed) == (10, 10, 0)
    assert found.running.count == found.waiting.count == 10
    assert 0.04 < (found.running.quantile(0.5) or 0) < 0.5
    assert 0.5 <= found.busy < 5
    assert found.busy < found.slots
    (failed, *_) = await history(store, "other")
    assert failed.counts.failed == failed.running.count == 1


async def test_the_wait_of_a_delayed_job_begins_when_it_is_due(app: App) -> None:
    @app.job
    async def noop() -> None: ...

    await noop.options(delay=0.3).enqueue()
    await noop.options(id="mine").enqueue()
    await asyncio.sleep(0.2)
    async with working(app) as worker:
        await until(lambda: worker.metrics.completed == 2)
        waits = worker.metrics.counted().waiting
        assert sum(waits) == 2
        assert 0.15 < worker.metrics.waits_of("default").seconds < 1.5


async def test_a_running_attempt_counts_as_busy_before_it_ends(app: App, store: Connection) -> None:
    end = asyncio.Event()

    @app.job
    async def wait() -> None:
        await end.wait()

    async with working(app, concurrency=2) as worker:
        await wait.enqueue()
        (consumer,) = worker.parts.consumers
        await until(lambda: any(each.started_at for each in consumer.leases.attempts.values()))
        recorder = QueueRecorder(store, consumer, worker.metrics, worker.parts.slots)
        await asyncio.sleep(0.1)
        await recorder.send()
        busy = sum(each.busy for each in await history(store))
        await asyncio.sleep(0.1)
        await recorder.send()
        assert sum(each.busy for each in await history(store)) > busy >= 0.1
        end.set()


async def test_an_outage_loses_no_measurement(app: App, store: Connection, caplog: pytest.LogCaptureFixture) -> None:
    @app.job
    async def noop() -> None: ...

    caplog.set_level(logging.INFO)
    async with working(app) as worker:
        await noop.enqueue()
        await until(lambda: worker.metrics.completed == 1)
        with Redis.from_url(app.client.url) as raw:
            key = keys.of_queue("default", "minutes")
            raw.delete(key)
            raw.set(key, "something else")
            for _ in range(2):
                await worker.parts.recorder.send()
            raw.delete(key)
    assert (
        caplog.text.count("the history of the queues is not written: key jobpools:{default}:minutes is a string") == 1
    )
    assert sum(each.running.count for each in await history(store)) == 1


async def test_a_queue_whose_history_cannot_be_written_does_not_stop_the_others(app: App, store: Connection) -> None:
    @app.job(queue="a-first")
    async def first() -> None: ...

    @app.job(queue="b-second")
    async def second() -> None: ...

    with Redis.from_url(app.client.url) as raw:
        for queue in ("a-first", "b-second"):
            key = keys.of_queue(queue, "minutes")
            raw.set(key, "something else")
            async with working(app) as worker:
                await worker.parts.recorder.send()
            raw.delete(key)
            other = "b-second" if queue == "a-first" else "a-first"
            assert await history(store, other), f"{queue} cannot be written"
            raw.delete(keys.of_queue(other, "minutes"))


async def test_measurements_are_sent_at_the_end_of_each_minute_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ServerClock()
    monkeypatch.setattr(clock, "now", lambda: 1_900_000_020.0)  # 20 seconds after a full minute
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr("jobpools.runtime.recorder.asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await Recorder([], clock, 0.5).run()
    assert slept == [(EARLIEST + LATEST) / 2 - 1_900_000_020 % 60] * 3
