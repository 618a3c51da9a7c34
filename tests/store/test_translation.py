"""Errors of real servers: each becomes a StoreError of one line with a remedy, and no write is half done."""

import asyncio
import contextlib
from pathlib import Path

import pytest
from redis.exceptions import ResponseError

from jobpools.errors import StoreAuthError, StoreDataError, StoreError, StoreUnavailableError
from jobpools.store import keys, ledger
from jobpools.store.connection import connect
from jobpools.store.lease_ids import lease_suffix_of
from jobpools.store.leases import renew_leases
from jobpools.store.records import completed_record
from jobpools.store.server import probe, probe_sync
from jobpools.store.step import Completed, settle_and_claim
from jobpools.store.sync_connection import connect_sync
from jobpools.store.translation import CODES, safe_url, translate
from tests.store.conftest import QUEUE, sending
from tests.support.refusals import Refuse, busy, disk_full, few_replicas, full, no_right, replica
from tests.support.sending import enqueue_jobs, enqueue_jobs_sync
from tests.support.servers import Server, redis_binary, running, valkey_binary
from tests.support.waiting import eventually

BINARIES = [valkey_binary(), *([found] if (found := redis_binary()) else [])]


def test_an_unreachable_default_says_how_to_name_another() -> None:
    error = ConnectionRefusedError(111, "Connection refused")
    hint = "; it is the default: set JOBPOOLS_REDIS_URL, or redis_url in jobpools.toml"
    assert str(translate(error, "redis://127.0.0.1:6379/0")).endswith(f"Connection refused{hint}")
    assert str(translate(error, "redis://127.0.0.1:6380/0")).endswith("Connection refused")


REFUSALS: dict[str, tuple[Refuse, type[StoreError], str]] = {
    "READONLY": (replica, StoreUnavailableError, "is a read-only replica"),
    "OOM": (full, StoreUnavailableError, "out of memory"),
    "NOREPLICAS": (few_replicas, StoreUnavailableError, "has too few replicas"),
    "MISCONF": (disk_full, StoreUnavailableError, "cannot save its data to disk"),
    "BUSY": (busy, StoreUnavailableError, "is busy with a script"),
    "NOPERM": (no_right, StoreAuthError, "does not permit the command"),
}


@pytest.mark.parametrize("code", REFUSALS)
@pytest.mark.parametrize("binary", BINARIES, ids=lambda binary: Path(binary).name)
async def test_a_refused_write_raises_the_right_error_and_leaves_nothing(
    binary: str, code: str, tmp_path: Path
) -> None:
    refuse, kind, what = REFUSALS[code]
    with running(binary, tmp_path, ["--enable-protected-configs", "yes"]) as server:
        connection, sync = connect(server.url), connect_sync(server.url)
        assert await enqueue_jobs(connection, [sending("before")]) == [True]
        manager = refuse(server)
        await asyncio.to_thread(manager.__enter__)
        errors = []
        for attempt in (
            enqueue_jobs(connection, [sending("refused")]),
            asyncio.to_thread(enqueue_jobs_sync, sync, [sending("refused")]),
            probe(connection, QUEUE),
            asyncio.to_thread(probe_sync, sync, QUEUE),
        ):
            with pytest.raises(kind) as raised:
                await attempt
            errors.append(str(raised.value))
        assert all(what in error and "\n" not in error for error in errors), errors
        assert all(CODES[code][2] in error for error in errors), errors
        await asyncio.to_thread(manager.__exit__, None, None, None)
        await probe(connection, QUEUE)
        assert await enqueue_jobs(connection, [sending("before"), sending("refused")]) == [False, True]
        counts = (await ledger.read(connection, [QUEUE]))[QUEUE]
        assert (counts.ready, counts.lost) == (2, 0), "the refused jobs left nothing"
        await connection.aclose()
        sync.close()


@pytest.mark.parametrize("binary", BINARIES, ids=lambda binary: Path(binary).name)
async def test_a_server_without_memory_still_lets_workers_settle_renew_and_claim(binary: str) -> None:
    """Otherwise the running jobs could not be settled, and no memory would become free."""
    with running(binary) as server, server.client() as raw:
        connection, sync = connect(server.url), connect_sync(server.url)
        await enqueue_jobs(connection, [sending("a"), sending("b")])
        lease_suffix = lease_suffix_of("w.x", 1)
        await settle_and_claim(connection, QUEUE, "w.x", claim=1, lease_suffix=lease_suffix, lease_ms=1000)
        with full(server):
            before = raw.zscore(keys.of_queue(QUEUE, "leases"), f"a{lease_suffix}") or 0.0
            assert await asyncio.to_thread(renew_leases, sync, QUEUE, [f"a{lease_suffix}"], 60_000) == ([], [])
            assert (raw.zscore(keys.of_queue(QUEUE, "leases"), f"a{lease_suffix}") or 0.0) > before + 50_000
            done = {60_000: Completed([f"a{lease_suffix}"], [completed_record("send", b"1", 0.1)])}
            reply = await settle_and_claim(
                connection,
                QUEUE,
                "w.x",
                completed=done,
                claim=1,
                lease_suffix=lease_suffix_of("w.x", 2),
                lease_ms=1000,
            )
            assert (reply.ids, reply.stale) == ([b"b"], [])
            counts = (await ledger.read(connection, [QUEUE]))[QUEUE]
            assert (counts.completed, counts.running, counts.lost) == (1, 1, 0)
        await connection.aclose()
        sync.close()


async def test_a_connection_recovers_from_too_many_clients() -> None:
    with running(valkey_binary(), flags=["--maxclients", "4"]) as server:
        held = [server.client() for _ in range(4)]
        with contextlib.suppress(Exception):
            for client in held:
                client.ping()
        connection = connect(server.url)
        with pytest.raises(StoreUnavailableError):
            await enqueue_jobs(connection, [sending("a")])
        for client in held:
            client.close()
        eventually("there is room", lambda: _fits(server))
        assert await enqueue_jobs(connection, [sending("a")]) == [True]
        await connection.aclose()


def _fits(server: Server) -> bool:
    try:
        with server.client() as client:
            return bool(client.ping())
    except Exception:  # noqa: BLE001  # a full server refuses in one of several ways
        return False


async def test_a_changed_password_is_an_auth_error_until_it_is_restored() -> None:
    with running(valkey_binary()) as server, server.client() as raw:
        raw.execute_command("ACL", "SETUSER", "shop", "on", ">old", "~*", "&*", "+@all")
        url = f"redis://shop:old@127.0.0.1:{server.port}/0"
        connection = connect(url)
        assert await enqueue_jobs(connection, [sending("a")]) == [True]
        raw.execute_command("ACL", "SETUSER", "shop", "<old", ">new")
        raw.execute_command("CLIENT", "KILL", "USER", "shop")
        with pytest.raises(StoreError):
            await enqueue_jobs(connection, [sending("b")])  # the connection was cut
        with pytest.raises(StoreAuthError, match="refuses the user or password") as raised:
            await enqueue_jobs(connection, [sending("b")])
        assert "old" not in str(raised.value)
        raw.execute_command("ACL", "SETUSER", "shop", ">old")
        assert await enqueue_jobs(connection, [sending("b")]) == [True]
        await connection.aclose()


async def test_after_a_failover_the_next_command_makes_a_new_connection() -> None:
    """The address leads to the new primary, but open connections lead to the former one."""
    with running(valkey_binary()) as server, server.client() as raw:
        connection, sync = connect(server.url), connect_sync(server.url)
        await enqueue_jobs(connection, [sending("a")])
        await asyncio.to_thread(enqueue_jobs_sync, sync, [sending("a")])

        def clients() -> set[str]:
            return {each["id"] for each in raw.client_list() if each["cmd"] not in ("client|list", "config|set")}

        with replica(server):
            before = clients()
            with pytest.raises(StoreUnavailableError):
                await enqueue_jobs(connection, [sending("b")])
            with pytest.raises(StoreUnavailableError):
                await asyncio.to_thread(enqueue_jobs_sync, sync, [sending("b")])
        assert await enqueue_jobs(connection, [sending("b")]) == [True]
        assert await asyncio.to_thread(enqueue_jobs_sync, sync, [sending("b")]) == [False]
        assert len(clients() - before) >= 2
        await connection.aclose()
        sync.close()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (
            "OOM command not allowed. script: 1f, on @user_script:3.",
            StoreUnavailableError,
        ),
        ("ERR Error running script (call to f_1f): @user_script:3: -OOM command not allowed", StoreUnavailableError),
        ("ERR Error running script (call to f_1f): @user_script:3: -READONLY You can't write", StoreUnavailableError),
        ("UNBLOCKED force unblock from blocking operation, instance state changed", StoreUnavailableError),
        ("CLUSTERDOWN The cluster is down", StoreUnavailableError),
        ("MASTERDOWN Link with MASTER is down", StoreUnavailableError),
        ("LOADING Redis is loading the dataset in memory", StoreUnavailableError),
        ("ERR max number of clients reached", StoreUnavailableError),
        ("NOAUTH Authentication required.", StoreAuthError),
        ("NOPERM ACL failure in script: User x has no permissions", StoreAuthError),
        (
            "ERR Error running script: The user executing the script can't run this command",
            StoreAuthError,
        ),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", StoreDataError),
        ("ERR the BUSY bee is in the text and is no code", StoreError),
        ("ERR unknown command 'ZADD'", StoreError),
    ],
)
def test_an_error_is_translated_by_its_code(text: str, kind: type[StoreError]) -> None:
    assert type(translate(ResponseError(text), "redis://host")) is kind


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://:pw@host:6379/0", "redis://:***@host:6379/0"),
        ("rediss://ada:pw@host/1?ssl_cert_reqs=none", "rediss://ada:***@host/1?ssl_cert_reqs=none"),
        ("redis://ada@host", "redis://ada@host"),
        ("redis+sentinel://ada:pw@one:1,two:2/0?master=main", "redis+sentinel://ada:***@one:1,two:2/0?master=main"),
        ("redis://:p/w#x?y@host/0", "redis://:***@host/0"),
        ("redis://:p@w@host/0", "redis://:***@host/0"),
        ("redis://host/0?db=1&password=pw&x=y", "redis://host/0?db=1&password=***&x=y"),
        ("unix:///run/redis.sock?db=0", "unix:///run/redis.sock?db=0"),
        ("nonsense", "nonsense"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert safe_url(url) == shown
