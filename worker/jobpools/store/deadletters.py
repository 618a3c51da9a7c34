"""The dead-letter queue: look, put back, forget."""

import dataclasses
from collections.abc import Sequence

from jobpools.core.job import JobState, Priority
from jobpools.store import codec, keys, reads
from jobpools.store.connect import Connection
from jobpools.store.reads import JobView
from jobpools.store.writes import LETTERS, SERVER_CLOCK


async def listed(connection: Connection, queue: str, limit: int = 100) -> list[JobView]:
    """Dead jobs with the history of their attempts, the latest first."""
    return await reads.jobs(connection, queue, JobState.DEAD, limit)


async def replay(connection: Connection, queue: str, ids: Sequence[str], now: int | str = SERVER_CLOCK) -> int:
    """Put dead jobs back at the tail of their queue, with all their attempts ahead of them again.

    The history stays, for people. Returns how many were dead; the others are left alone.
    """
    arguments: list[object] = []
    for job_id in ids:
        view = await reads.job(connection, queue, job_id)
        if view is None or view.state is not JobState.DEAD:
            continue
        history = dataclasses.replace(view.history, attempts=0, crashes=0, note="")
        letter = LETTERS[Priority(view.priority or Priority.NORMAL)]
        arguments += [job_id, letter, codec.encode_history(history)]
    if not arguments:
        return 0
    return int(await connection.call("replay", queue, [now, keys.WAKE_CHANNEL, queue, *arguments]))


async def purge(connection: Connection, queue: str, ids: Sequence[str]) -> int:
    """Forget dead jobs for good; returns how many were dead."""
    return int(await connection.call("purge", queue, list(ids))) if ids else 0
