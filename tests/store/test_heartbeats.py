"""Heartbeats are listed until they are too old, and newer ones can be read."""

from typing import Any

from redis import Redis

from jobpools.core.pools.facts import Heartbeat
from jobpools.core.text.names import WorkerId
from jobpools.store import keys
from jobpools.store.connection import Connection
from jobpools.store.drain_locks import force_drain_locks
from jobpools.store.endpoint_facts import read_endpoint
from jobpools.store.heartbeats import remove_worker, write_heartbeat
from jobpools.store.server import pool_keys
from tests.store.attempts import AT, NOW
from tests.store.conftest import QUEUE, Send
from tests.support.sending import enqueue_jobs

POOL = "default/shop"


def report(worker: str, **more: Any) -> Heartbeat:
    values: dict[str, Any] = {
        "slots": 5, "busy": 2, "started": AT - 60, "seen": 0.0, "idle_since": None, "draining": False, "version": "1",
        "rss_bytes": 42, "completed": 7, "failed": 1,
    }  # fmt: skip
    return Heartbeat(worker=WorkerId(worker), pool=POOL, **(values | more))


async def test_workers_are_listed_until_their_heartbeat_is_too_old(store: Connection, job: Send) -> None:
    await enqueue_jobs(store, [job("a")], NOW)
    await write_heartbeat(store, report("b.1", idle_since=AT - 5), NOW)
    await write_heartbeat(store, report("a.1"), NOW - 20_000)
    await write_heartbeat(store, report("gone.1"), NOW - 40_000)
    await force_drain_locks(store, [QUEUE], ["b.1"])
    first, second = (await read_endpoint(store, {POOL: [QUEUE]}, NOW)).heartbeats[POOL]
    assert first == report("a.1", seen=AT - 20)
    assert second == report("b.1", seen=AT, idle_since=AT - 5, draining=True)
    assert (first.host, second.host) == ("a", "b")
    assert await pool_keys(store) == [POOL]
    await remove_worker(store, POOL, "b.1", [QUEUE])
    assert [each.worker for each in (await read_endpoint(store, {POOL: [QUEUE]}, NOW)).heartbeats[POOL]] == ["a.1"]
    assert await store.execute("EXISTS", keys.of_queue(QUEUE, "draining")) == 0


async def test_an_unknown_field_of_a_heartbeat_is_ignored(store: Connection, raw: Redis) -> None:
    raw.hset(keys.workers(POOL), "a.1", f'{NOW} {{"slots":5,"busy":0,"started":1,"idle_since":null,"colour":"red"}}')
    (found,) = (await read_endpoint(store, {POOL: [QUEUE]}, NOW)).heartbeats[POOL]
    assert (found.slots, found.seen) == (5, AT)


async def test_workers_without_a_heartbeat_for_a_day_are_removed(store: Connection, raw: Redis) -> None:
    """They were killed: a worker that stops deletes its heartbeat, and the operator deletes those of gone pods."""
    for number, silent in enumerate([86_500_000, 86_300_000, 0]):
        await write_heartbeat(store, report(f"web-{number}.a"), NOW - silent)
    for later in range(1, 101):
        await write_heartbeat(store, report("web-2.a"), NOW + later)
    assert sorted(raw.hkeys(keys.workers(POOL))) == [b"web-1.a", b"web-2.a"]
