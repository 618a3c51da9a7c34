"""What a search returns about a job."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobpools.core.jobs import json_values
from jobpools.core.jobs.job import History, JobState, Priority
from jobpools.options import Options
from jobpools.store.job_view import JobView

NO_OPTIONS = Options()


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as Redis knows it. Times are seconds since the epoch; None: unknown.

    When a job has completed or was cancelled, its arguments, priority, timeout and maximum number of attempts are
    deleted. Its tags and metadata are deleted when it was cancelled; a completed job keeps them if they take at most
    1,024 bytes as JSON, or the tags alone if these do.
    """

    id: str
    name: str
    """Name of the handler."""
    queue: str
    state: JobState
    args: Mapping[str, Any] | None
    """The arguments, by name."""
    priority: Priority | None
    tags: tuple[str, ...]
    metadata: Mapping[str, Any] | None
    attempt: int
    """Number of attempts that were started; crashed attempts count."""
    max_attempts: int | None
    """Maximum number of attempts: the job's own, else the handler's; None: the pool's."""
    timeout: float | None
    """Maximum seconds of one attempt: the job's own, else the handler's; None: the pool's."""
    enqueued_at: float | None
    due_at: float | None
    """When a scheduled job is due."""
    expires_at: float | None
    """Time from which no attempt starts; None: it never expires."""
    started_at: float | None
    """When the attempt began that runs now or has completed the job. Workers report what they run every 3 s; before
    that it is unknown."""
    lease_until: float | None
    """When the lease of a running attempt expires, unless its worker renews it."""
    ended_at: float | None
    """When the job completed, was cancelled, or died."""
    worker: str | None
    """Id of the worker that runs the job."""
    result: Any
    """The result of a completed job, as plain JSON values."""
    note: str
    """Why the job waits or is dead."""
    history: History
    """The failed, timed-out and crashed attempts."""

    @property
    def priority_number(self) -> int | None:
        """Return the priority as a number: high 100, normal 50, low 10; None: unknown."""
        return None if self.priority is None else self.priority.number


def record_of(view: JobView, options: Options = NO_OPTIONS) -> JobRecord:
    """Return the record of a job; `options` are those of its handler.

    They do not apply to a completed or cancelled job, whose own options are unknown.
    """
    if view.state in (JobState.COMPLETED, JobState.CANCELLED):
        options = NO_OPTIONS
    max_attempts = view.max_attempts
    if max_attempts is None and options.retry is not None:
        max_attempts = options.retry.max_attempts
    return JobRecord(
        id=view.id,
        name=view.name,
        queue=view.queue,
        state=view.state,
        args=json_value(view.args),
        priority=Priority(view.priority) if view.priority else None,
        tags=view.tags,
        metadata=view.metadata,
        attempt=view.attempts_begun,
        max_attempts=max_attempts,
        timeout=options.timeout if view.timeout is None else view.timeout,
        enqueued_at=view.enqueued_at or None,
        due_at=view.due_at,
        expires_at=view.expires_at,
        started_at=view.started_at,
        lease_until=view.lease_until,
        ended_at=view.ended_at,
        worker=view.worker or None,
        result=json_value(view.result),
        note=view.problem or view.history.note,
        history=view.history,
    )


def json_value(raw: bytes | None) -> Any:
    """Return the value of a JSON text, or the text where it cannot be read; None for no text."""
    if not raw:
        return None
    try:
        return json_values.decode(raw)
    except ValueError:
        return raw.decode(errors="replace")
