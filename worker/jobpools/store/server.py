"""Read what does not concern single jobs: the server's time and settings, key types, and names of queues and pools."""

from typing import Any, cast

from jobpools.errors import StoreDataError
from jobpools.store import keys
from jobpools.store.connection import Connection
from jobpools.store.replies import seconds
from jobpools.store.sync_connection import SyncConnection


async def server_time(connection: Connection) -> float:
    """Return the server's time, seconds since the epoch."""
    return seconds(await connection.execute("TIME"), "")


def settings_warnings(info: Any) -> tuple[str, ...]:
    """Return warnings about the settings in a reply of INFO memory."""
    if isinstance(info, dict):
        known = cast("dict[str, Any]", info)
        policy = str(known.get("maxmemory_policy", ""))
    else:
        policy = _field(info, "maxmemory_policy")
    if policy in ("", "noeviction"):
        return ()
    return (f"maxmemory-policy is {policy}: the server may evict jobs when memory is short; set it to noeviction",)


def _field(info: bytes | str, name: str) -> str:
    text = info.decode() if isinstance(info, bytes) else info
    return next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith(f"{name}:")), "")


async def server_warnings(connection: Connection) -> tuple[str, ...]:
    """Return warnings about the server's settings."""
    return settings_warnings(await connection.execute("INFO", "memory"))


async def check_types(connection: Connection, queue: str) -> None:
    """Check that the keys of a queue have the right types. Raises StoreDataError.

    A script that meets a key of another type ends halfway, so the check comes before it.
    """
    names = [keys.of_queue(queue, part) for part in keys.PARTS]
    if wrong := keys.type_problem(names, await connection.gather([("TYPE", name) for name in names])):
        raise StoreDataError(wrong)


async def pool_keys(connection: Connection) -> list[str]:
    """Return the keys of all pools that have had workers in the last day."""
    return await _names(connection, keys.workers("*"))


async def queue_names(connection: Connection) -> list[str]:
    """Return the names of all queues that ever accepted a job."""
    return await _names(connection, keys.of_queue("*", "totals"))


async def _names(connection: Connection, pattern: str) -> list[str]:
    """Return what `*` stands for in each key that matches the pattern, sorted."""
    prefix, _, suffix = pattern.partition("*")
    return sorted([key.removeprefix(prefix).removesuffix(suffix) for key in await connection.scan(pattern)])


def _probe(queue: str) -> tuple[Any, ...]:
    # The server refuses it as it refuses any write that takes memory; XX adds nothing.
    return "ZADD", keys.of_queue(queue, "leases"), "XX", 0, "-"


async def probe(connection: Connection, queue: str) -> None:
    """Prove that the server accepts a write to this queue. Raises StoreError. Changes nothing."""
    await connection.execute(*_probe(queue))


def probe_sync(connection: SyncConnection, queue: str) -> None:
    """Prove as `probe` does that the server accepts a write, blocking."""
    connection.execute(*_probe(queue))
