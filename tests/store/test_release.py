"""What the cluster calls gone may still live for a moment: its jobs are released, and it gets none of them again."""

import time
from collections.abc import AsyncIterator

import pytest

from jobpools.client import Client
from jobpools.control import queues
from jobpools.core.pools.facts import Heartbeat
from jobpools.core.pools.specs import Pool
from jobpools.core.text.names import WorkerId
from jobpools.options import Options
from jobpools.store.connection import Connection, connect
from jobpools.store.endpoint_facts import read_workers
from jobpools.store.heartbeats import write_heartbeat
from jobpools.store.lease_ids import claim_suffix
from jobpools.store.step import settle_and_claim

POOL = Pool.model_validate({"meta": {"name": "shop"}, "spec": {"app": "shop:app", "queues": ["emails", "reports"]}})


@pytest.fixture
async def connection(valkey_url: str) -> AsyncIterator[Connection]:
    made = connect(valkey_url)
    yield made
    await made.aclose()


async def enqueue(url: str) -> str:
    client = Client(url)
    try:
        return (await client.enqueue_many([client.call_json("work", {}, Options.make(queue="emails"))]))[0].id
    finally:
        await client.aclose()


async def claim(connection: Connection, worker: str, n: int) -> list[bytes]:
    reply = await settle_and_claim(
        connection, "emails", worker, claim=5, lease_suffix=claim_suffix(worker, n), lease_ms=10_000
    )
    return list(reply.ids)


async def report(connection: Connection, worker: str) -> None:
    now = time.time()
    await write_heartbeat(
        connection, Heartbeat(WorkerId(worker), POOL.meta.key, 5, 1, now, now, idle_since=None, draining=False)
    )


async def test_a_gone_worker_that_still_lives_claims_nothing_more(
    connection: Connection, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = (await enqueue(valkey_url)).encode()
    await report(connection, "a.1")
    assert await claim(connection, "a.1", 1) == [job]
    assert [each.worker for each in await read_workers(connection, POOL.meta.key, ["emails"])] == ["a.1"]
    operator = queues.StoreQueues(connection, "operator")
    assert await operator.release(POOL, ["a"]) == 1
    assert await read_workers(connection, POOL.meta.key, ["emails"]) == ()
    assert await claim(connection, "a.1", 2) == [], "it has been given up"
    assert await claim(connection, "b.1", 1) == [job]

    monkeypatch.setattr(queues, "LOCKOUT", 0.0)
    await operator.release(POOL, ["c"])
    assert await connection.execute("EXISTS", "jobpools:{emails}:draining", "jobpools:{reports}:draining") == 0
