"""Heartbeats of workers in Redis: one hash per pool, worker id to `<ms> <JSON>`."""

from collections.abc import Sequence
from typing import Any

import msgspec

from jobpools.core.pools.facts import Heartbeat
from jobpools.core.text.names import WorkerId
from jobpools.errors import StoreDataError
from jobpools.store import keys, scripts
from jobpools.store.connection import Connection
from jobpools.store.drain_locks import release_drain_locks
from jobpools.store.json_objects import decode_json
from jobpools.store.replies import pairs
from jobpools.store.script_arguments import SERVER_CLOCK

FORGOTTEN_AFTER = 30.0
"""Seconds without a heartbeat (six intervals) after which a worker is no longer listed."""
_REPORTED = ("slots", "busy", "started", "idle_since", "version", "rss_bytes", "completed", "failed", "left_behind")
"""Fields of Heartbeat that the worker reports; the server adds the others."""


def parse_heartbeats(pool: str, reply: Any, draining: set[str], now: float) -> tuple[Heartbeat, ...]:
    """Parse the hash of one pool, sorted by worker, without heartbeats that are too old. Raises StoreDataError."""
    found: list[Heartbeat] = []
    for worker, value in pairs(reply):
        stamp, _, report = value.partition(b" ")
        if not stamp.isdigit():
            raise StoreDataError(f"{keys.workers(pool)}: field {worker!r} does not hold a worker heartbeat")
        seen = int(stamp) / 1000
        if now - seen > FORGOTTEN_AFTER:
            continue
        values = decode_json(report)
        name = worker.decode()
        known = {key: values[key] for key in _REPORTED if key in values}
        found.append(Heartbeat(worker=WorkerId(name), pool=pool, seen=seen, draining=name in draining, **known))
    return tuple(sorted(found, key=lambda each: each.worker))


async def write_heartbeat(connection: Connection, report: Heartbeat, now: int | str = SERVER_CLOCK) -> None:
    """Report that a worker is alive. The server sets `seen` and `draining`."""
    script = scripts.get("heartbeat")
    values = {name: getattr(report, name) for name in _REPORTED}
    arguments = [now, report.worker, msgspec.json.encode(values)]
    await connection.call_keys(script, [keys.workers(report.pool)], arguments)


async def repeat_heartbeat(connection: Connection, pool: str, worker: str, now: int | str = SERVER_CLOCK) -> None:
    """Repeat the last heartbeat of a listed worker that is alive and blocked. Raises StoreError."""
    key = keys.workers(pool)
    value = await connection.execute("HGET", key, worker)
    if value is not None:
        report = value.partition(b" ")[2]
        await connection.call_keys(scripts.get("heartbeat"), [key], [now, worker, report])


async def forget_worker(connection: Connection, pool: str, worker: str, queues: Sequence[str]) -> None:
    """Remove a stopped worker from the list, and its drain locks."""
    await unlist_workers(connection, pool, [worker])
    await release_drain_locks(connection, queues, worker)


async def unlist_workers(connection: Connection, pool: str, workers: Sequence[str]) -> None:
    """Remove workers from the list; their drain locks stay."""
    if workers:
        await connection.execute("HDEL", keys.workers(pool), *workers)
