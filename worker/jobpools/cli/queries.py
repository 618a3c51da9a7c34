"""What commands read from Redis: one short connection per command, plain rows as the result."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from jobpools.core.pools.facts import QueuePause
from jobpools.core.pools.workers import paused_heartbeats
from jobpools.errors import StoreDataError
from jobpools.settings_reader import redis_url
from jobpools.store import ledger
from jobpools.store.connection import Connection, connect
from jobpools.store.endpoint_facts import read_endpoint
from jobpools.store.queue_policies import read_pauses
from jobpools.store.server import check_types, pool_keys, queue_names

T = TypeVar("T")


def run_query(url: str | None, query: Callable[[Connection], Awaitable[T]]) -> T:
    """Run a query on a connection of its own. `url` None: from the environment. Raises StoreError."""

    async def connect_and_query() -> T:
        connection = connect(redis_url(url))
        try:
            return await query(connection)
        except StoreDataError:
            for queue in await queue_names(connection):
                await check_types(connection, queue)  # raises an error that names the key
            raise
        finally:
            await connection.aclose()

    return asyncio.run(connect_and_query())


async def queues(connection: Connection) -> list[dict[str, Any]]:
    """Return a row for each queue that has had a job."""
    names = await queue_names(connection)
    counts = await ledger.read(connection, names)
    facts = (await read_endpoint(connection, {"": names})).queues
    by_name = {str(name): each for name, each in facts.items()}
    return [
        {
            "queue": name,
            "queued": counts[name].ready,
            "scheduled": counts[name].scheduled,
            "running": counts[name].running,
            "dead": counts[name].dead,
            "dropped": counts[name].dropped,
            "oldest": by_name[name].oldest_seconds,
            "enqueued": counts[name].enqueued,
            "completed": counts[name].completed,
            "failed": counts[name].failed,
            "cancelled": counts[name].cancelled,
            "paused": pause_text(by_name[name].pause),
        }
        for name in names
    ]


def pause_text(pause: QueuePause | None) -> str | None:
    """Return who paused a queue and why, as `by ada: the mail server is down`; None: it is not paused."""
    return None if pause is None else str(pause).removeprefix("paused ")


async def pools(connection: Connection) -> list[dict[str, Any]]:
    """Return a row for each pool that had workers in the last day."""
    names, keys = await queue_names(connection), await pool_keys(connection)
    found = (await read_endpoint(connection, dict.fromkeys(keys, names))).heartbeats
    return [
        {
            "pool": pool,
            "workers": len(found[pool]),
            "slots": sum(each.slots for each in found[pool]),
            "busy": sum(each.busy for each in found[pool]),
            "draining": sum(each.draining for each in found[pool]),
            "paused": len(paused := paused_heartbeats(found[pool])),
            "completed": sum(each.completed for each in found[pool]),
            "failed": sum(each.failed for each in found[pool]),
            "paused_workers": [f"{each.host} {each.command or 'by an unknown user'}" for each in paused],
            "versions": sorted({each.version for each in found[pool]}),
        }
        for pool in sorted(found)
    ]


async def stats(connection: Connection, over: float) -> list[dict[str, Any]]:
    """Return a row for each queue: its counts, and its rates between two readings `over` seconds apart."""
    names = await queue_names(connection)
    first, started = await ledger.read(connection, names), time.monotonic()
    if names:
        await asyncio.sleep(over)
    counts, elapsed = await ledger.read(connection, names), max(time.monotonic() - started, 1e-3)
    pauses = await read_pauses(connection, names)
    return [
        {
            "queue": name,
            "enqueued": count.enqueued,
            "completed": count.completed,
            "retried": count.retried,
            "dead": count.dead,
            "cancelled": count.cancelled,
            "purged": count.purged,
            "dropped": count.dropped,
            "lost": count.lost,
            "failed": count.failed,
            "failures": round(count.failed / ended, 3) if (ended := count.failed + count.completed) else None,
            "enqueued/s": round((count.enqueued - first[name].enqueued) / elapsed, 1),
            "completed/s": round((count.completed - first[name].completed) / elapsed, 1),
            "paused": pause_text(pauses.get(name)),
        }
        for name, count in counts.items()
    ]
