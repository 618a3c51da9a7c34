"""What a supervisor's helper writes while the worker makes no progress: its leases and its heartbeat stay alive."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jobpools.core.pools.facts import Heartbeat
from jobpools.core.text.names import WorkerId
from jobpools.runtime import lease_extension
from jobpools.store import keys
from jobpools.store.connection import Connection, connect
from jobpools.store.endpoint_facts import read_endpoint
from jobpools.store.enqueue import Sending
from jobpools.store.envelope import decode_envelope
from jobpools.store.heartbeats import write_heartbeat
from jobpools.store.lease_ids import lease_suffix_of
from jobpools.store.step import settle_and_claim
from tests.support.proxy import Faults, running_proxy
from tests.support.sending import enqueue_jobs

QUEUE, POOL, WORKER = "emails", "default/shop", WorkerId("web-1.a")
LEASE = 1.0
ENVELOPE = b'{"v":1,"id":"x","name":"resize","queue":"emails","args":{}}'


@pytest.fixture
async def stopped_worker(store: Connection) -> dict[str, Any]:
    """The description of a worker that claimed a job and sent a heartbeat long ago."""
    await enqueue_jobs(store, [Sending(decode_envelope(ENVELOPE), ENVELOPE, None, 0.0)])
    suffix = lease_suffix_of(WORKER, 1)
    await settle_and_claim(store, QUEUE, WORKER, claim=1, lease_suffix=suffix, lease_ms=1)
    await write_heartbeat(store, Heartbeat(WORKER, POOL, 5, 1, 1.0, 1.0, idle_since=None, draining=False), now=1000)
    return {"redis_url": store.url, "queues": [QUEUE], "worker": WORKER, "pool": POOL, "lease": LEASE}


@pytest.fixture(autouse=True)
async def close_connections(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Close what the extension opens: it leaves that to the end of its process."""
    opened: list[Connection] = []

    def connect_and_remember(*args: Any, **options: Any) -> Connection:
        opened.append(connect(*args, **options))
        return opened[-1]

    monkeypatch.setattr(lease_extension, "connect", connect_and_remember)
    yield
    for each in opened:
        await each.aclose()


async def extend(description: dict[str, Any], seconds: float) -> None:
    """Extend for so long. The public function runs until its process is killed."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await lease_extension.extend_repeatedly(description)


async def remaining(store: Connection) -> float:
    """Return the seconds until the lease expires."""
    ((_, expiry),) = [tuple(await store.execute("ZRANGE", keys.of_queue(QUEUE, "leases"), 0, -1, "WITHSCORES"))]
    seconds, micros = await store.execute("TIME")
    return float(expiry) / 1000 - int(seconds) - int(micros) / 1e6


async def test_leases_and_heartbeat_are_renewed(store: Connection, stopped_worker: dict[str, Any]) -> None:
    assert await remaining(store) < 0.1
    await extend(stopped_worker, LEASE / 2)
    assert await remaining(store) > LEASE / 4
    facts = await read_endpoint(store, {POOL: [QUEUE]})
    (heartbeat,) = facts.heartbeats[POOL]
    assert facts.now is not None
    assert facts.now - heartbeat.seen < LEASE, "the worker does not look gone"


async def test_an_outage_does_not_end_the_extension(store: Connection, stopped_worker: dict[str, Any]) -> None:
    with running_proxy(int(store.url.rpartition(":")[2].partition("/")[0])) as proxy:
        proxy.faults = Faults(resets=True)
        extension = asyncio.create_task(extend(stopped_worker | {"redis_url": proxy.url}, 3 * LEASE))
        while proxy.traffic.connections < 2:  # noqa: ASYNC110  # another thread counts
            await asyncio.sleep(0.01)
        proxy.faults = Faults()
        await extension
    assert await remaining(store) > 0
