"""Extend the leases of a worker that makes no progress. Runs in a helper process of the supervisor."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from jobpools.errors import StoreError
from jobpools.runtime import supervisor_log
from jobpools.store.connection import connect
from jobpools.store.heartbeats import repeat_heartbeat
from jobpools.store.leases import extend_leases

EXTENSIONS_PER_LEASE = 4
"""Extensions per lease duration."""


def extend(description: Mapping[str, Any], silence: float) -> None:
    """Extend a worker's leases and repeat its heartbeat until this process is killed.

    Args:
        description: The worker's description.
        silence: Seconds since the worker last made progress, for the log.
    """
    supervisor_log.warn(
        description,
        f"it has made no progress for {silence:.1f} s: a handler holds the GIL, or the process is stopped; "
        "its supervisor renews its leases",
    )
    asyncio.run(extend_repeatedly(description))


async def extend_repeatedly(description: Mapping[str, Any]) -> None:
    """Extend a worker's leases and repeat its heartbeat until the task is cancelled."""
    lease = float(description["lease"])
    connection = connect(description["redis_url"], timeout=lease / 2)
    while True:
        with contextlib.suppress(StoreError):  # an outage: the worker could not renew its leases either
            for queue in description["queues"]:
                await extend_leases(connection, queue, description["worker"], int(lease * 1000))
            await repeat_heartbeat(connection, description["pool"], description["worker"])
        await asyncio.sleep(lease / EXTENSIONS_PER_LEASE)
