"""Drain locks: the workers of a queue that must not claim."""

from collections.abc import Sequence

from jobpools.store import keys
from jobpools.store.connection import Connection

DRAINING_TTL = 3_600_000
"""ms until a queue's drain locks expire, counted from the latest one; the same as in drain.lua."""


async def take_drain_locks(connection: Connection, queues: Sequence[str], worker: str) -> bool:
    """Take the drain lock in all of a worker's queues, or in none; return False if the worker holds a lease."""
    for index, queue in enumerate(queues):
        if not await connection.call("drain", queue, [worker]):
            await release_drain_locks(connection, queues[:index], worker)
            return False
    return True


async def force_drain_locks(connection: Connection, queues: Sequence[str], workers: Sequence[str]) -> None:
    """Take the drain lock even if these workers hold leases: their running jobs continue, and they claim no more."""
    if workers:
        for queue in queues:
            key = keys.of_queue(queue, "draining")
            await connection.execute("SADD", key, *workers)
            await connection.execute("PEXPIRE", key, DRAINING_TTL)


async def release_drain_locks(connection: Connection, queues: Sequence[str], worker: str) -> None:
    """Release the drain lock."""
    for queue in queues:
        await connection.execute("SREM", keys.of_queue(queue, "draining"), worker)
