"""Enqueue jobs, many of one queue with one script."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Any, NamedTuple, cast

import msgspec

from jobpools.store import keys
from jobpools.store.connection import Connection
from jobpools.store.envelope import Envelope
from jobpools.store.script_arguments import LETTERS, SERVER_CLOCK
from jobpools.store.sync_connection import SyncConnection

BATCH = 500
"""Maximum number of jobs of one call; a longer script would delay other clients."""
_LETTER_OF = {str(priority): letter for priority, letter in LETTERS.items()}


class Sending(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A validated and encoded job, ready to be sent."""

    # gc=False: it is never part of a reference cycle, and the collector need not traverse thousands of them.
    envelope: Envelope
    payload: bytes
    """The envelope as it goes to Redis."""
    due: float | None = None
    """`at=`: seconds since the epoch; None: after `delay`."""
    delay: float = 0.0
    """Seconds from when the server accepts it; 0: at once."""
    expires: float = 0.0
    """Seconds from when the server accepts it, after which no attempt starts; 0: it does not expire."""


class Receipt(IntEnum):
    """The reply of enqueue.lua for one job."""

    SCHEDULE_FULL = -2
    """The queue has as many scheduled jobs as it accepts; nothing was written."""
    FULL = -1
    """The queue is full and its overflow is `Block`; nothing was written."""
    KNOWN = 0
    """A job with this id is known already; nothing was written."""
    ACCEPTED = 1
    DROPPED = 2
    """The queue is full and its overflow is `DropNewest`: the job is a dead letter."""


class Batch(NamedTuple):
    """Jobs of one queue that one script enqueues."""

    queue: str
    jobs: Sequence[Sending]


def batches(jobs: Sequence[Sending]) -> Iterator[tuple[str, list[int]]]:
    """Yield the queue and the indices in `jobs` of each batch to send, at most BATCH jobs of one queue."""
    queues: defaultdict[str, list[int]] = defaultdict(list)
    for index, job in enumerate(jobs):
        queues[job.envelope.queue].append(index)
    for queue, indices in queues.items():
        for start in range(0, len(indices), BATCH):
            yield queue, indices[start : start + BATCH]


def _arguments(batch: Batch, now: int | str) -> list[Any]:
    arguments: list[Any] = [now, keys.WAKE_CHANNEL, batch.queue]
    for job in batch.jobs:
        is_plain = job.due is None and not job.delay and not job.expires
        envelope, due = job.envelope, "" if is_plain else _due_argument(job)
        arguments += (envelope.id, _LETTER_OF[envelope.priority], due, job.payload)
    return arguments


def _due_argument(job: Sending) -> str:
    """Return when a job is due and when it expires, as enqueue.lua takes it."""
    due = f"@{int(job.due * 1000)}" if job.due is not None else str(int(job.delay * 1000)) if job.delay else ""
    return f"{due};{int(job.expires * 1000)}" if job.expires else due


async def enqueue_batch(connection: Connection, batch: Batch, now: int | str = SERVER_CLOCK) -> list[int]:
    """Enqueue the jobs of one batch that the queue accepts; return the Receipt of each.

    Sending the same jobs again enqueues only those that are missing.

    Raises:
        StoreError: Redis refused the command or did not reply; either all of these jobs were handled, or none.
    """
    return cast("list[int]", await connection.call("enqueue", batch.queue, _arguments(batch, now)))


def enqueue_batch_sync(connection: SyncConnection, batch: Batch) -> list[int]:
    """Enqueue as `enqueue_batch` does, blocking."""
    return cast("list[int]", connection.call("enqueue", batch.queue, _arguments(batch, SERVER_CLOCK)))
