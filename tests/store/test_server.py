"""The settings of a server, and the names of the queues that it holds."""

from redis import Redis

from jobpools.store.connection import Connection
from jobpools.store.endpoint_facts import read_endpoint
from jobpools.store.server import queue_names, server_warnings
from tests.store.attempts import NOW
from tests.store.conftest import QUEUE, Send
from tests.support.sending import enqueue_jobs

POOL = "default/shop"


async def test_an_evicting_maxmemory_policy_is_a_warning(store: Connection, raw: Redis) -> None:
    assert await server_warnings(store) == ()
    raw.config_set("maxmemory-policy", "allkeys-lru")
    try:
        (warning,) = await server_warnings(store)
        assert warning.startswith("maxmemory-policy is allkeys-lru: ")
        assert warning.endswith("set it to noeviction")
        assert (await read_endpoint(store, {POOL: [QUEUE]})).warnings == (warning,)
        assert (await read_endpoint(store, {POOL: []})).warnings == (warning,)
    finally:
        raw.config_set("maxmemory-policy", "noeviction")


async def test_the_names_of_all_queues_that_accepted_a_job_are_listed(store: Connection, job: Send) -> None:
    assert await queue_names(store) == []
    await enqueue_jobs(store, [job("a", queue="b-queue"), job("a", queue="a.queue")], NOW)
    assert await queue_names(store) == ["a.queue", "b-queue"]
