"""A job as the command line and the dashboard show it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobpools.core.jobs.job import History, JobState
from jobpools.errors import StoreDataError
from jobpools.store.envelope import decode_envelope, enqueued_at
from jobpools.store.history import decode_history
from jobpools.store.job_ids import id_time
from jobpools.store.records import ResultRecord

KeyFields = dict[str, Any]
"""Fields of `JobView` that follow from the key in which a job was found."""


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as the command line and the dashboard show it."""

    id: str
    queue: str
    state: JobState
    name: str = ""
    priority: str = ""
    args: bytes = b""
    """The JSON object of keyword arguments."""
    tags: tuple[str, ...] = ()
    timeout: float | None = None
    """Seconds, None: the handler's or the pool's."""
    max_attempts: int | None = None
    """None: the handler's or the pool's."""
    metadata: Mapping[str, Any] | None = None
    """Field `meta` of the envelope; None: it has none."""
    enqueued_at: float = 0.0
    due_at: float | None = None
    expires_at: float | None = None
    """When the job expires, seconds since the epoch; None: it does not, or it has completed."""
    worker: str = ""
    """The worker that runs it."""
    running_since: float | None = None
    """When the running attempt began, seconds since the epoch. None: its worker has not reported it yet."""
    lease_until: float | None = None
    """When the lease of a running job expires if its worker does not renew it, seconds since the epoch."""
    ended_at: float | None = None
    result: bytes | None = None
    ran_for: float | None = None
    """Duration in seconds of the attempt that completed it."""
    history: History = History()  # noqa: RUF009  # frozen, so one for all is safe
    problem: str = ""
    """Why the envelope cannot be read; empty: it was read."""

    @property
    def started_at(self) -> float | None:
        """Return when the attempt began that runs now or has completed the job; None: unknown."""
        if self.state is JobState.RUNNING:
            return self.running_since
        return None if self.ended_at is None or self.ran_for is None else self.ended_at - self.ran_for

    @property
    def attempts_begun(self) -> int:
        """Return the number of started attempts: failed, timed out, crashed, and the one that is running or completed.

        An attempt that was handed back (its worker drained) is not charged and not counted.
        """
        has_uncharged_attempt = self.state in (JobState.RUNNING, JobState.COMPLETED)
        return self.history.attempts + self.history.crashes + has_uncharged_attempt


def ended_view(
    queue: str, job_id: str, ended: ResultRecord, history: bytes | None, names: Mapping[str, str]
) -> JobView:
    """Return the view of an ended job, of which only the record and the history are left."""
    return JobView(
        id=job_id,
        queue=queue,
        state=JobState(ended.state),
        name=names.get(ended.name, ended.name) if ended.state == JobState.COMPLETED else ended.name,
        tags=ended.labels.tags,
        metadata=ended.labels.meta,
        enqueued_at=id_time(job_id) or 0.0,
        ended_at=ended.at,
        result=bytes(ended.result) if ended.state == JobState.COMPLETED else None,
        ran_for=round(ended.ms / 1000, 9) if ended.state == JobState.COMPLETED else None,
        history=decode_history(history),
    )


def view_of(queue: str, job_id: str, envelope: bytes | None, history: bytes | None, fields: KeyFields) -> JobView:
    """Return the view of a job that has not ended; `fields` are those that its envelope does not hold."""
    past = decode_history(history)
    try:
        found = decode_envelope(envelope or b"")
    except StoreDataError as error:
        return JobView(job_id, queue, history=past, problem=str(error), **fields)
    return JobView(
        id=job_id,
        queue=queue,
        name=found.name,
        priority=found.priority,
        args=bytes(found.args),
        tags=found.tags,
        metadata=found.meta,
        timeout=found.timeout,
        max_attempts=None if found.retry is None else found.retry.max_attempts,
        enqueued_at=enqueued_at(found),
        expires_at=None if found.expires_at is None else found.expires_at / 1000,
        history=past,
        **fields,
    )
