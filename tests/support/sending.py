"""Enqueue jobs as one batch after the other, without waiting for room, at a time of the test's own."""

from collections.abc import Sequence

from jobpools.store.connection import Connection
from jobpools.store.enqueue import Batch, Sending, batches, enqueue_batch, enqueue_batch_sync
from jobpools.store.sync_connection import SyncConnection


async def enqueue_jobs(connection: Connection, jobs: Sequence[Sending], now: int | str = "") -> list[bool]:
    """Return for each job whether it was accepted."""
    accepted = [False] * len(jobs)
    for queue, places in batches(jobs):
        receipts = await enqueue_batch(connection, Batch(queue, [jobs[place] for place in places]), now)
        for place, receipt in zip(places, receipts, strict=True):
            accepted[place] = receipt > 0
    return accepted


def enqueue_jobs_sync(connection: SyncConnection, jobs: Sequence[Sending]) -> list[bool]:
    """Return for each job whether it was accepted."""
    accepted = [False] * len(jobs)
    for queue, places in batches(jobs):
        receipts = enqueue_batch_sync(connection, Batch(queue, [jobs[place] for place in places]))
        for place, receipt in zip(places, receipts, strict=True):
            accepted[place] = receipt > 0
    return accepted
