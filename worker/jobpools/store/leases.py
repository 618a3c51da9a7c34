"""Renew leases: those that a worker names, or all leases of a worker that is blocked."""

from collections.abc import Sequence

from jobpools.store.connection import Connection
from jobpools.store.script_arguments import SERVER_CLOCK
from jobpools.store.sync_connection import SyncConnection


def renew_leases(
    connection: SyncConnection, queue: str, lease_ids: Sequence[str], lease_ms: int, now: int | str = SERVER_CLOCK
) -> tuple[list[str], list[str]]:
    """Extend leases; return the lease ids that are lost, and the ids of running jobs to cancel."""
    lost, cancelling = connection.call("renew", queue, [now, lease_ms, *lease_ids])
    return [lease_id.decode() for lease_id in lost], [job_id.decode() for job_id in cancelling]


async def extend_leases(
    connection: Connection, queue: str, worker: str, lease_ms: int, now: int | str = SERVER_CLOCK
) -> int:
    """Renew all leases of a worker that cannot renew them itself; return how many. Raises StoreError."""
    return int(await connection.call("extend", queue, [now, worker, lease_ms]))
