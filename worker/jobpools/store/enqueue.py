"""Enqueue jobs, many of one queue with one script."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

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


def _batches(jobs: Sequence[Sending]) -> Iterable[tuple[str, list[Any], list[int]]]:
    """Yield (queue, arguments, places in `jobs`) of each call to make."""
    queues: defaultdict[str, list[int]] = defaultdict(list)
    for place, job in enumerate(jobs):
        queues[job.envelope.queue].append(place)
    for queue, places in queues.items():
        for start in range(0, len(places), BATCH):
            batch = places[start : start + BATCH]
            arguments: list[Any] = [keys.WAKE_CHANNEL, queue]
            for place in batch:
                job = jobs[place]
                envelope, due = job.envelope, "" if job.due is None and not job.delay else _due_argument(job)
                arguments += (envelope.id, _LETTER_OF[envelope.priority], due, job.payload)
            yield queue, arguments, batch


def _due_argument(job: Sending) -> int | str:
    """Return when a job is due, as enqueue.lua takes it."""
    return int(job.delay * 1000) if job.due is None else f"@{int(job.due * 1000)}"


async def enqueue_jobs(connection: Connection, jobs: Sequence[Sending], now: int | str = SERVER_CLOCK) -> list[bool]:
    """Enqueue jobs; return for each whether it was accepted. False: its id is known, and nothing was written.

    Jobs of one queue are accepted BATCH at a time: if the server becomes unreachable in between, an error is raised and
    a whole number of batches has been accepted. Sending the same jobs again enqueues only those that are missing.
    """
    accepted = [False] * len(jobs)
    for queue, arguments, places in _batches(jobs):
        for place, new in zip(places, await connection.call("enqueue", queue, [now, *arguments]), strict=True):
            accepted[place] = bool(new)
    return accepted


def enqueue_jobs_sync(connection: SyncConnection, jobs: Sequence[Sending], now: int | str = SERVER_CLOCK) -> list[bool]:
    """Enqueue jobs as `enqueue_jobs` does, blocking."""
    accepted = [False] * len(jobs)
    for queue, arguments, places in _batches(jobs):
        for place, new in zip(places, connection.call("enqueue", queue, [now, *arguments]), strict=True):
            accepted[place] = bool(new)
    return accepted
