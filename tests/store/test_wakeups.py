"""One token wakes one idle worker, and the name of a queue that gets its first ready job is published once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from redis import Redis

from jobpools.core.jobs.job import Disposition, Priority, Settlement
from jobpools.errors import StoreUnavailableError
from jobpools.store import keys, wakeups
from jobpools.store.connection import Connection, connect
from jobpools.store.lease_ids import lease_suffix_of
from jobpools.store.step import Settled, settle_and_claim
from tests.store.conftest import QUEUE, Send
from tests.support import dead_jobs
from tests.support.sending import enqueue_jobs
from tests.support.servers import running, valkey_binary


@pytest.fixture
async def waiting(valkey_url: str) -> AsyncIterator[Connection]:
    made = connect(valkey_url, timeout=None)
    yield made
    await made.aclose()


@contextlib.asynccontextmanager
async def published(url: str) -> AsyncIterator[asyncio.Queue[str]]:
    """Collect the names of queues that are published."""
    connection = connect(url)
    found: asyncio.Queue[str] = asyncio.Queue()

    async def listen() -> None:
        async for queue in wakeups.listen(connection):
            found.put_nowait(queue)

    listener = asyncio.create_task(listen())
    try:
        assert await asyncio.wait_for(found.get(), 5) == "", "the subscription is open"
        yield found
    finally:
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)
        await connection.aclose()


async def blocked(raw: Redis, clients: int) -> None:
    """Wait until so many clients block."""
    async with asyncio.timeout(5):
        while raw.info("clients")["blocked_clients"] != clients:  # noqa: ASYNC110  # there is no event to wait for
            await asyncio.sleep(0.005)


async def test_one_job_wakes_one_worker(store: Connection, waiting: Connection, raw: Redis, job: Send) -> None:
    idle = [asyncio.create_task(wakeups.wait(waiting, [QUEUE], 0.5)) for _ in range(5)]
    await blocked(raw, 5)
    await enqueue_jobs(store, [job("a")])
    woken = await asyncio.gather(*idle)
    assert sorted(woken, key=str) == [None, None, None, None, QUEUE]


async def test_a_claim_that_leaves_ready_jobs_wakes_the_next_worker(
    store: Connection, waiting: Connection, raw: Redis, job: Send
) -> None:
    idle = [asyncio.create_task(wakeups.wait(waiting, [QUEUE], 5)) for _ in range(3)]
    await blocked(raw, 3)
    await enqueue_jobs(store, [job(f"job{number}") for number in range(3)])
    for number, woken in enumerate(asyncio.as_completed(idle)):
        assert await woken == QUEUE
        await settle_and_claim(store, QUEUE, "w.1", claim=1, lease_suffix=lease_suffix_of("w.1", number), lease_ms=1000)
    assert raw.llen(keys.of_queue(QUEUE, "wake")) == 0


async def test_a_token_can_be_returned(store: Connection, waiting: Connection) -> None:
    await wakeups.pass_on(store, QUEUE)
    assert await wakeups.wait(waiting, ["other", QUEUE], 1) == QUEUE
    assert await wakeups.wait(waiting, [QUEUE], 0.01) is None


async def test_a_scheduled_job_adds_a_token_when_it_is_the_next_due(store: Connection, raw: Redis, job: Send) -> None:
    token = keys.of_queue(QUEUE, "wake")
    for job_id, due, wakes in (("a", 100, 1), ("b", 200, 0), ("c", 50, 1)):
        await enqueue_jobs(store, [job(job_id, due=due)], 1)
        assert raw.delete(token) == wakes, job_id


async def test_a_queue_that_fills_from_empty_is_published_once(store: Connection, valkey_url: str, job: Send) -> None:
    async with published(valkey_url) as found:
        await enqueue_jobs(store, [job("a"), job("b")])
        assert await asyncio.wait_for(found.get(), 5) == QUEUE
        await enqueue_jobs(store, [job("c"), job("d", due=1e10)])
        reply = await settle_and_claim(store, QUEUE, "w.1", claim=9, lease_suffix=":w.1:0000000001", lease_ms=1000)
        dead = Settlement(Disposition.DEAD)
        settled = [Settled(f"{job_id.decode()}:w.1:0000000001", Priority.NORMAL, dead) for job_id in reply.ids]
        await settle_and_claim(store, QUEUE, "w.1", settled=settled, lease_suffix=":w.1:0000000002", lease_ms=1000)
        await enqueue_jobs(store, [job("e", queue="other")])
        assert await asyncio.wait_for(found.get(), 5) == "other", "nothing was published meanwhile"
        await dead_jobs.replay(store, QUEUE, ["a"])
        assert await asyncio.wait_for(found.get(), 5) == QUEUE
        assert found.empty()


async def test_a_listener_raises_when_the_server_is_lost() -> None:
    with running(valkey_binary()) as server:
        connection = connect(server.url)
        listener = wakeups.listen(connection)
        assert await anext(listener) == ""
        server.kill()
        with pytest.raises(StoreUnavailableError):
            await anext(listener)
        await connection.aclose()
