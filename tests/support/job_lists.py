"""List the jobs of one state, as `jobpools jobs list` reads them."""

from jobpools.core.jobs.job import JobState
from jobpools.core.jobs.job_filter import JobFilter
from jobpools.errors import JobNotFoundError
from jobpools.store.connection import Connection
from jobpools.store.job_view import JobView
from jobpools.store.search import search


async def read_jobs(connection: Connection, queue: str, state: JobState, limit: int = 100) -> list[JobView]:
    """Return the first jobs of a state, in the order of a search; none for a queue that has never had a job."""
    views: list[JobView] = []
    cursor = None
    while len(views) < limit:
        try:
            page = await search(connection, JobFilter((state,), queue), limit=limit - len(views), cursor=cursor)
        except JobNotFoundError:
            return []
        views += page.views
        cursor = page.cursor
        if cursor is None:
            break
    return views
