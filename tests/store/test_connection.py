"""Connections: errors are StoreErrors of one line without the password, and limits of connections hold."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis import Redis

from jobpools.errors import StoreAuthError, StoreDataError, StoreError, StoreUnavailableError
from jobpools.store.connection import Connection, connect
from jobpools.store.redis_clients import POOL_SIZE
from jobpools.store.step import Completed, settle_and_claim
from jobpools.store.sync_connection import SyncConnection, connect_sync
from jobpools.store.translation import safe_url
from tests.store.conftest import QUEUE, Send
from tests.support.ports import free_port
from tests.support.sending import enqueue_jobs, enqueue_jobs_sync
from tests.support.servers import Server, running, valkey_binary

SECRET = "tiger&scott"  # noqa: S105  # a password of the tests


ESCAPED = "tiger%26scott"


async def refusal(url: str, *command: object) -> StoreError:
    """Return the error of a command, after checking that a blocking connection raises the same."""
    connection, sync = connect(url), connect_sync(url)
    try:
        with pytest.raises(StoreError) as raised:
            await connection.execute(*command)
        with pytest.raises(StoreError) as blocking:
            await asyncio.to_thread(sync.execute, *command)
    finally:
        await connection.aclose()
        sync.close()
    assert type(raised.value) is type(blocking.value)
    for error in (raised.value, blocking.value):
        assert "\n" not in str(error)
        assert error.__cause__ is not None
    return raised.value


async def test_a_refused_connection_is_unavailable() -> None:
    url = f"redis://:{ESCAPED}@127.0.0.1:{free_port()}/0"
    error = await refusal(url, "PING")
    assert isinstance(error, StoreUnavailableError)
    assert str(error) == f"{safe_url(url)}: cannot be reached: Connection refused"
    assert ESCAPED not in str(error)


@pytest.mark.parametrize("kind", ["redis+cluster", "redis+sentinel"])
async def test_a_cluster_or_sentinel_without_servers_is_unavailable(kind: str) -> None:
    error = await refusal(f"{kind}://127.0.0.1:{free_port()}/0", "GET", "x")
    assert isinstance(error, StoreUnavailableError)


async def test_an_unknown_host_is_unavailable() -> None:
    error = await refusal("redis://no-such-host.invalid:6379/0", "PING")
    assert isinstance(error, StoreUnavailableError)


async def test_a_server_that_does_not_answer_in_time_is_unavailable() -> None:
    with running(valkey_binary()) as server:
        connection = connect(server.url, timeout=0.2)
        await connection.execute("PING")
        server.pause()
        try:
            with pytest.raises(StoreUnavailableError, match="cannot be reached: Timeout"):
                await connection.execute("PING")
        finally:
            server.resume()
        assert await connection.execute("PING"), "the next command uses a new socket"
        await connection.aclose()


async def test_a_connection_recovers_after_a_restart(tmp_path: Path, job: Send) -> None:
    with running(valkey_binary(), tmp_path) as server:
        connection = connect(server.url)
        assert await enqueue_jobs(connection, [job("a")]) == [True]
        server.kill()
        with pytest.raises(StoreUnavailableError):
            await enqueue_jobs(connection, [job("b")])
        server.start()
        assert await enqueue_jobs(connection, [job("a"), job("b")]) == [False, True]
        await connection.aclose()


async def test_a_wrong_password_is_an_auth_error_that_does_not_show_it() -> None:
    with running(valkey_binary(), password=SECRET) as server:
        for user, wrong in (("", "wrong-one"), ("ada", ESCAPED), ("", "")):
            userinfo = f"{user}:{wrong}@" if user or wrong else ""
            error = await refusal(f"redis://{userinfo}127.0.0.1:{server.port}/0", "PING")
            assert isinstance(error, StoreAuthError)
            assert str(error).endswith("check user and password in the URL, and the user's ACL")
            assert "wrong-one" not in str(error)
            assert ESCAPED not in str(error)
        right = connect(f"redis://:{ESCAPED}@127.0.0.1:{server.port}/0")
        assert await right.execute("PING"), "a password with special characters is percent-encoded"
        await right.aclose()


async def test_a_command_without_permission_is_an_auth_error(valkey_server: Server) -> None:
    with valkey_server.client() as client:
        client.execute_command("ACL", "SETUSER", "reader", "on", ">pw", "~*", "-@all", "+get", "+eval")
    url = f"redis://reader:pw@127.0.0.1:{valkey_server.port}/0"
    assert isinstance(await refusal(url, "SET", "x", "y"), StoreAuthError)
    assert isinstance(await refusal(url, "EVAL", "return redis.call('SET', KEYS[1], 1)", 1, "x"), StoreAuthError)


async def test_a_key_of_another_type_is_named_and_nothing_is_written(
    store: Connection, sync_store: SyncConnection, raw: Redis, job: Send
) -> None:
    raw.set("jobpools:{emails}:ready:normal", "something else")
    wrong = (
        "key jobpools:{emails}:ready:normal is a string, not a list: something else uses its name; rename or delete it"
    )
    with pytest.raises(StoreDataError) as raised:
        await enqueue_jobs(store, [job("a")])
    assert str(raised.value) == wrong
    with pytest.raises(StoreDataError) as raised:
        enqueue_jobs_sync(sync_store, [job("a")])
    assert str(raised.value) == wrong
    assert raw.keys() == [b"jobpools:{emails}:ready:normal"], "nothing was written"


async def test_out_of_memory_refuses_new_jobs_and_finishes_old_ones(job: Send) -> None:
    with running(valkey_binary(), flags=["--maxmemory-policy", "noeviction"]) as server:
        connection = connect(server.url)
        await enqueue_jobs(connection, [job("a"), job("b")])
        with server.client() as client:
            client.config_set("maxmemory", 1)
        with pytest.raises(StoreUnavailableError, match=r"out of memory .*; raise maxmemory"):
            await enqueue_jobs(connection, [job("c")])
        suffixes = [f":w.1:{number:010d}" for number in range(3)]
        reply = await settle_and_claim(connection, QUEUE, "w.1", claim=1, lease_suffix=suffixes[0], lease_ms=1000)
        assert reply.ids == [b"a"]
        done = {1000: Completed([f"a{suffixes[0]}"], [b'{"state":"completed","at":1}'])}
        reply = await settle_and_claim(
            connection, QUEUE, "w.1", completed=done, claim=1, lease_suffix=suffixes[1], lease_ms=1000
        )
        assert (reply.ids, reply.stale) == ([b"b"], [])
        await connection.aclose()


async def test_a_replica_refuses_to_enqueue(job: Send) -> None:
    with running(valkey_binary()) as server:
        connection = connect(server.url)
        with server.client() as client:
            client.execute_command("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(StoreUnavailableError, match=r"is a read-only replica .*; writes go to the primary"):
            await enqueue_jobs(connection, [job("a")])
        await connection.aclose()


async def test_a_connection_can_be_closed_twice_and_before_it_was_opened(valkey_url: str) -> None:
    connection = connect(valkey_url)
    await connection.aclose()
    await connection.aclose()
    for url in (valkey_url, "redis+cluster://127.0.0.1:1"):
        sync = connect_sync(url)
        sync.close()
        sync.close()


async def test_more_commands_than_connections_wait(store: Connection, raw: Redis, job: Send) -> None:
    accepted = await asyncio.gather(*[enqueue_jobs(store, [job(f"job{number}")]) for number in range(300)])
    assert accepted == [[True]] * 300
    # The idle connections that scripts keep leave enough for other commands.
    kinds = await asyncio.gather(*[store.execute("TYPE", f"key{number}") for number in range(300)])
    assert kinds == [b"none"] * 300
    assert raw.info("clients")["connected_clients"] <= POOL_SIZE + 5


def test_commands_of_more_threads_than_connections_wait(sync_store: SyncConnection, job: Send) -> None:
    with ThreadPoolExecutor(150) as threads:
        jobs = [[job(f"job{number}")] for number in range(300)]
        assert list(threads.map(lambda each: enqueue_jobs_sync(sync_store, each), jobs)) == [[True]] * 300
