"""Why scheduled jobs wait: for their time, or because workers handed them back."""

from jobpools.store import keys
from jobpools.store.connection import Connection
from jobpools.store.history import read_history
from jobpools.store.replies import scored

PAGE = 1000
"""Maximum number of histories in one read."""


async def read_wait_reasons(connection: Connection, queue: str, limit: int) -> tuple[dict[str, int], float | None]:
    """Return why the first `limit` scheduled jobs wait: notes of jobs that workers handed back, and the next due time.

    The first value counts jobs by note. The second is when the first job without a note is due, in seconds since the
    epoch; None: there is none.
    """
    replies = await connection.gather(
        [("ZRANGE", keys.of_queue(queue, part), 0, limit - 1, "WITHSCORES") for part in keys.SCHEDULED]
    )
    found = sorted((score, job_id) for reply in replies for job_id, score in scored(reply))[:limit]
    notes: dict[str, int] = {}
    due = None
    for start in range(0, len(found), PAGE):
        page = found[start : start + PAGE]
        histories = await connection.execute("HMGET", keys.of_queue(queue, "history"), *[job_id for _, job_id in page])
        for (score, _), history in zip(page, histories, strict=True):
            if note := read_history(history).note:
                notes[note] = notes.get(note, 0) + 1
            elif due is None:
                due = score / 1000
    return notes, due
