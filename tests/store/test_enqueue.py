"""Enqueueing: whole batches, unique ids, and the memory of a pending job."""

import itertools
from collections.abc import Sequence

import pytest
from redis import Redis

from jobpools import App
from jobpools.errors import StoreUnavailableError
from jobpools.store import ledger
from jobpools.store.connection import Connection, connect
from jobpools.store.endpoint_facts import read_endpoint
from jobpools.store.enqueue import BATCH
from jobpools.store.sync_connection import SyncConnection
from tests.store.conftest import QUEUE, Send
from tests.support.sending import enqueue_jobs, enqueue_jobs_sync
from tests.support.servers import running, valkey_binary

SMALL = 250
"""Maximum bytes of the server's memory for a small pending job."""


async def test_a_duplicate_id_is_not_accepted(store: Connection, sync_store: SyncConnection, job: Send) -> None:
    assert await enqueue_jobs(store, [job("a"), job("b"), job("a")]) == [True, True, False]
    assert enqueue_jobs_sync(sync_store, [job("b", "high"), job("c")]) == [False, True]
    counts = (await ledger.read(store, [QUEUE]))[QUEUE]
    assert (counts.enqueued, counts.ready) == (3, 3)
    assert await enqueue_jobs(store, [job("a", queue="other")]) == [True], "ids are unique within a queue"
    assert await enqueue_jobs(store, []) == []


async def test_many_jobs_are_enqueued_in_batches_and_in_order(store: Connection, raw: Redis, job: Send) -> None:
    before = calls(raw)
    accepted = await enqueue_jobs(store, [job(f"job{number}", queue=("a", "b")[number % 2]) for number in range(2002)])
    assert accepted == [True] * 2002
    assert calls(raw) - before == 6, "500 of a queue at a time"
    seen = await read_endpoint(store, {"p": ["a", "b"]})
    assert [each.queued for each in seen.queues.values()] == [1001, 1001]
    assert raw.lrange("jobpools:{a}:ready:normal", 0, -1) == [f"job{number}".encode() for number in range(0, 2002, 2)]


def calls(raw: Redis) -> int:
    stats = raw.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))


async def test_a_killed_server_has_only_whole_batches(
    tmp_path_factory: pytest.TempPathFactory, job: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The accepted jobs are a multiple of 500, and sending all again enqueues the rest."""
    with running(valkey_binary(), tmp_path_factory.mktemp("aof"), ["--appendfsync", "always"]) as server:
        connection = connect(server.url)
        jobs = [job(f"job{number}") for number in range(5000)]
        sent = itertools.count(1)
        call = connection.call

        async def failing(name: str, queue: str, arguments: Sequence[object]) -> object:
            if next(sent) == 5:
                server.kill()
            return await call(name, queue, arguments)

        monkeypatch.setattr(connection, "call", failing)
        with pytest.raises(StoreUnavailableError):
            await enqueue_jobs(connection, jobs)
        server.start()
        monkeypatch.undo()
        there = (await ledger.read(connection, [QUEUE]))[QUEUE].ready
        assert there % BATCH == 0
        assert 0 < there < 5000
        accepted = await enqueue_jobs(connection, jobs)
        assert accepted == [False] * there + [True] * (5000 - there)
        counts = (await ledger.read(connection, [QUEUE]))[QUEUE]
        assert (counts.ready, counts.lost) == (5000, 0)
        await connection.aclose()


async def test_a_small_pending_job_takes_less_than_250_bytes(store: Connection, raw: Redis, valkey_url: str) -> None:
    jobs = 10_000
    async with App("shop", redis=valkey_url) as app:

        @app.job(queue="emails")
        async def send(order: int) -> None: ...

        await app.enqueue_many([send.call(number) for number in range(jobs)])
    bytes_a_job = sum(raw.memory_usage(key, samples=0) or 0 for key in raw.keys("*")) / jobs
    print(f"a small pending job takes {bytes_a_job:.0f} bytes in Redis")  # noqa: T201  # the figure of a budget
    assert bytes_a_job < SMALL
    assert (await ledger.read(store, [QUEUE]))[QUEUE].ready == jobs
