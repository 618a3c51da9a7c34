"""What a producer meets when a queue is full."""

import asyncio
import logging
import re
from typing import Any

import pytest
from redis import Redis

from jobpools import App
from jobpools.client import Client
from jobpools.core.jobs.overflow import Overflow
from jobpools.core.jobs.policies import Limits, QueueLimits
from jobpools.errors import ConfigurationError, JobDeadError, QueueFullError
from jobpools.store import keys
from jobpools.store.queue_policies import read_policy, set_limits
from jobpools.testing import run_until_idle
from jobpools.waiting import REGISTRATION_INTERVAL
from tests.support.waiting import until

app = App("shop", queue="emails")


@app.job
async def send(number: int) -> int:
    return number


async def limited(valkey_url: str, block_timeout: float, **limits: object) -> None:
    client = Client(valkey_url, block_timeout=block_timeout)
    app.use(client)
    await set_limits(client.connection(), "emails", QueueLimits.model_validate(limits))


async def test_enqueue_waits_for_room(valkey_url: str, caplog: pytest.LogCaptureFixture) -> None:
    await limited(valkey_url, 30, maxDepth=5)
    async with app:
        with caplog.at_level(logging.WARNING, "jobpools.client"):
            sending = asyncio.create_task(app.enqueue_many(send.call(number) for number in range(12)))
            while not caplog.messages:  # noqa: ASYNC110  # the client writes this line when it waits
                await asyncio.sleep(0.01)
        assert caplog.messages == ["queue emails is full; waiting for room (5 of 12 jobs are enqueued)"]
        while not sending.done():
            await run_until_idle(app)
        assert all(job.new for job in sending.result())
        await run_until_idle(app)
        assert [await job.result() for job in sending.result()] == list(range(12)), "in the order of the calls"


async def test_enqueue_gives_up_when_its_time_is_over(valkey_url: str) -> None:
    await limited(valkey_url, 0.1, maxDepth=2)
    async with app:
        with pytest.raises(QueueFullError) as caught:
            await app.enqueue_many(send.call(number) for number in range(3))
        assert str(caught.value) == (
            "queue emails: it is full, and no room appeared within 100ms (2 of 3 jobs are enqueued); run more workers, "
            "or raise the limit with jobpools queues set emails --max-depth N"
        )
        with pytest.raises(QueueFullError):
            await asyncio.to_thread(send.enqueue_sync, 4)


async def test_a_job_that_is_dropped_is_a_dead_letter_that_says_why(
    valkey_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await limited(valkey_url, 30, maxDepth=1, overflow=Overflow.DROP_NEWEST)
    async with app:
        await send.enqueue(1)
        job = await send.enqueue(2)
        assert "queue emails is full: 1 job was moved to its dead letters" in caplog.text
        with pytest.raises(JobDeadError, match=r"queue was full \(maxDepth 1\), and its overflow is DropNewest"):
            await job.result(timeout=5)


async def test_a_waiting_client_learns_at_once_that_its_job_was_dropped(valkey_url: str) -> None:
    await limited(valkey_url, 30, maxDepth=1, overflow=Overflow.DROP_OLDEST)
    async with app:
        job = await send.enqueue(1)
        waiting = asyncio.create_task(job.result(timeout=30))
        with Redis.from_url(valkey_url) as raw:
            await until(lambda: raw.hexists(keys.of_queue("emails", "waiters"), job.id))
        async with asyncio.timeout(REGISTRATION_INTERVAL / 2):  # the next registration would find it too
            await send.enqueue(2)
            with pytest.raises(JobDeadError):
                await waiting


async def test_too_many_scheduled_jobs_are_an_error_at_once(valkey_url: str) -> None:
    await limited(valkey_url, 30, maxScheduled=1)
    async with app:
        await send.options(delay="1h").enqueue(1)
        with pytest.raises(QueueFullError, match="as many scheduled jobs as maxScheduled allows; raise the limit"):
            await send.options(delay="1h").enqueue(2)


async def test_an_app_sets_the_limits_of_its_queues(valkey_url: str) -> None:
    limits = {"max_depth": 7, "overflow": "DropOldest"}
    async with App("shop", redis=valkey_url, queues={"emails": limits}) as shop:  # type: ignore[dict-item]  # a variable
        await shop.enqueue("send", queue="emails")
        found = await read_policy(shop.client.connection(), "emails")
    assert found.limits == Limits(7, Overflow.DROP_OLDEST)


async def test_a_worker_sets_the_limits_of_its_app(valkey_url: str) -> None:
    shop = App("shop", queue="emails", queues={"emails": {"max_scheduled": 3}})
    shop.job(lambda: None, name="idle")  # type: ignore[call-overload]  # no annotations
    shop.use(Client(valkey_url))
    async with shop:
        await shop.enqueue("idle")
        await run_until_idle(shop)
        assert (await read_policy(shop.client.connection(), "emails")).limits == Limits(max_scheduled=3)


@pytest.mark.parametrize(
    ("queues", "says"),
    [
        ({"emails": {"max_dept": 5}}, "App: queues: emails: max_dept: no such limit; did you mean max_depth?"),
        ({"emails": {"max_depth": -1}}, "App: queues: emails: max_depth: must be at least 0, got -1"),
        ({"emails": {"overflow": "Drop"}}, "App: queues: emails: overflow: must be .*'Block'.*"),
        (["emails"], "App: queues: .'emails'. is not a mapping; write limits by queue, as in .*"),
        ({"a b": {}}, "App: queues: 'a b' is not a queue name; .*"),
    ],
)
def test_a_wrong_limit_is_an_error_of_one_line(queues: Any, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        App("shop", queues=queues)
    assert re.fullmatch(says.replace("?", r"\?"), str(caught.value)), str(caught.value)
