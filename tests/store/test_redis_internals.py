"""The private attributes of redis-py exist in the tested version, and the store works without them."""

import pytest
from redis import Redis

from jobpools.store import abandoned, packing, redis_internals
from jobpools.store.connection import Connection, connect
from jobpools.store.sync_connection import SyncConnection


async def test_this_version_of_the_client_has_the_attributes(store: Connection, sync_store: SyncConnection) -> None:
    await store.execute("PING")
    opened = await store.client.connection_pool.get_connection()
    assert redis_internals.writer_of(opened) is not None
    assert redis_internals.loop_of(opened) is not None
    assert not redis_internals.has_hung_up(opened)
    await store.client.connection_pool.release(opened)
    sync_store.execute("PING")
    assert list(redis_internals.blocking_connections(sync_store.client))


async def test_commands_are_sent_without_the_private_attributes(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "writer_of", lambda _: None)
    monkeypatch.setattr(packing, "has_hung_up", lambda _: False)
    connection = connect(valkey_url)
    assert await connection.execute_raw("PING") in (b"PONG", True)
    assert await connection.call("enqueue", "emails", ["", "wake", "emails", "a", "n", "", "{}"]) == [1]
    await connection.aclose()


async def test_unknown_objects_have_no_connections_to_close(raw: Redis) -> None:
    assert redis_internals.writer_of(object()) is None
    assert redis_internals.loop_of(object()) is None
    assert not redis_internals.has_hung_up(object())
    redis_internals.detach(object())
    abandoned.abandon_sync(object())
    assert raw.ping()
