"""Replaying and purging dead jobs by their ids alone, whenever they died."""

from collections.abc import Sequence

from jobpools.store.connection import Connection
from jobpools.store.deadletters import Death, purging, replaying
from jobpools.store.script_arguments import SERVER_CLOCK


async def replay(connection: Connection, queue: str, ids: Sequence[str], now: int | str = SERVER_CLOCK) -> int:
    """Put dead jobs back into their queue; returns how many were dead. The others are left alone."""
    deaths = [Death(job_id) for job_id in dict.fromkeys(ids)]
    return sum([page.changed async for page in replaying(connection, queue, deaths, now)])


async def purge(connection: Connection, queue: str, ids: Sequence[str]) -> int:
    """Forget dead jobs for good; returns how many were dead."""
    deaths = [Death(job_id) for job_id in dict.fromkeys(ids)]
    return sum([page.changed async for page in purging(connection, queue, deaths)])
