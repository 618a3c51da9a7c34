"""Read what is known about jobs whose places are known."""

from collections.abc import Sequence
from typing import Any

from jobpools.store import keys
from jobpools.store.connection import Connection
from jobpools.store.job_view import JobView, KeyFields, ended_view, view_of
from jobpools.store.records import ResultRecord, decode_unexpired, names_of
from jobpools.store.replies import pairs, seconds

MS = 1000
"""ms in a second."""


async def read_views(
    connection: Connection, queue: str, found: Sequence[tuple[str, KeyFields]], *, is_ended: bool, now: int | str = ""
) -> tuple[list[JobView], int]:
    """Return the jobs that are still in their places, and how many bytes were read."""
    if not found:
        return [], 0
    if is_ended:
        return await _ended_views(connection, queue, found, now)
    ids = [job_id for job_id, _ in found]
    envelopes, histories = await connection.gather(
        [("HMGET", keys.of_queue(queue, part), *ids) for part in ("jobs", "history")]
    )
    views = [
        view_of(queue, job_id, envelope, history, fields)
        for (job_id, fields), envelope, history in zip(found, envelopes, histories, strict=True)
        if envelope is not None  # the job has ended meanwhile
    ]
    return views, _bytes(envelopes, histories)


async def _ended_views(
    connection: Connection, queue: str, found: Sequence[tuple[str, KeyFields]], now: int | str
) -> tuple[list[JobView], int]:
    ids = [job_id for job_id, _ in found]
    time, numbers, records, histories = await connection.gather(
        [
            ("TIME",),
            ("HGETALL", keys.of_queue(queue, "handlers")),
            *[("HMGET", keys.of_queue(queue, part), *ids) for part in ("results", "history")],
        ]
    )
    names, at = names_of(pairs(numbers)), seconds(time, now)
    views = [
        ended_view(queue, job_id, record, history, names)
        for (job_id, fields), raw, history in zip(found, records, histories, strict=True)
        if (record := decode_unexpired(raw, at)) is not None and _is_of(record, fields)
    ]
    return views, _bytes(records, histories)


def _is_of(record: ResultRecord, fields: KeyFields) -> bool:
    """Return whether a record is that of this job: an id may have been used again after a record expired."""
    return bool(round(record.at * MS) == round(fields["ended_at"] * MS))


def _bytes(*replies: Sequence[Any]) -> int:
    return sum(len(each) for reply in replies for each in reply if each is not None)
