"""Find a job whose queue may not be known."""

from jobpools.core.text.did_you_mean import did_you_mean
from jobpools.errors import JobNotFoundError
from jobpools.store.connection import Connection
from jobpools.store.job_view import JobView
from jobpools.store.jobs import read_job
from jobpools.store.server import queue_names


async def find_job(connection: Connection, job_id: str, queue: str | None) -> JobView:
    """Return the job with this id; `queue` None: from any queue. Raises JobNotFoundError."""
    for name in await resolve_queues(connection, queue):
        view = await read_job(connection, name, job_id)
        if view is not None:
            return view
    where = f"queue {queue}" if queue else "any queue"
    raise JobNotFoundError(
        f"job {job_id}: not found in {where}; check the id (a record is deleted when its retention is over)"
    )


async def resolve_queues(connection: Connection, queue: str | None) -> list[str]:
    """Return this queue, or all queues for None. Raises JobNotFoundError for a queue that has never had a job."""
    known = await queue_names(connection)
    if queue is None:
        return known
    if queue not in known:
        raise JobNotFoundError(f"queue {queue}: it has never had a job{did_you_mean(queue, known)}")
    return [queue]
