"""Replay and purge dead jobs by id, whenever they died."""

from collections.abc import Sequence

from jobpools.store import deadletters
from jobpools.store.connection import Connection
from jobpools.store.script_arguments import SERVER_CLOCK


async def replay(connection: Connection, queue: str, ids: Sequence[str], now: int | str = SERVER_CLOCK) -> int:
    """Put dead jobs back into their queue; return how many were dead. Other jobs are not changed."""
    letters = [deadletters.DeadLetter(job_id) for job_id in dict.fromkeys(ids)]
    return sum([page.changed async for page in deadletters.replay(connection, queue, letters, now)])


async def purge(connection: Connection, queue: str, ids: Sequence[str]) -> int:
    """Delete dead jobs; return how many were dead."""
    letters = [deadletters.DeadLetter(job_id) for job_id in dict.fromkeys(ids)]
    return sum([page.changed async for page in deadletters.purge(connection, queue, letters)])
