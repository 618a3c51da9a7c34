"""Wakes the control loop as soon as a job arrives in an empty queue."""

import asyncio

from jobpools.errors import StoreError
from jobpools.store import wakeups
from jobpools.store.connection import connect

RETRY_DELAY = 1.0
"""Seconds between the loss of the connection and the next attempt."""


async def wake_on_jobs(url: str, wake: asyncio.Event) -> None:
    """Set `wake` at each wake-up of a queue in this Redis, until cancelled."""
    connection = connect(url, timeout=None)
    try:
        while True:
            try:
                async for _ in wakeups.listen(connection):
                    wake.set()
            except StoreError:
                await asyncio.sleep(RETRY_DELAY)  # the control loop reports that Redis is unavailable
    finally:
        await connection.aclose()
