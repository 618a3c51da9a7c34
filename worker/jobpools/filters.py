"""The filter of a search, validated before Redis is asked."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Literal, TypedDict, Unpack

from jobpools.core.jobs.job import DeadReason, JobState
from jobpools.core.jobs.job_filter import Ago, Instant, JobFilter
from jobpools.core.text.did_you_mean import did_you_mean
from jobpools.core.text.durations import parse_duration
from jobpools.handle import Span
from jobpools.options import check_queue, check_tags, checked

StateName = Literal["queued", "scheduled", "running", "completed", "dead", "cancelled"]

ReasonName = Literal["attempts", "crashed", "timeout", "overflow", "invalid", "expired", "discarded"]


class FilterValues(TypedDict, total=False):
    """The conditions of a search, for type checkers: a job must meet all of them."""

    state: JobState | StateName | Iterable[JobState | StateName] | None
    """One state or several, of which the job is in one. Default: any."""
    queue: str | None
    """Name of the queue. Default: all queues."""
    name: str | None
    """Name of the handler."""
    worker: str | None
    """Id or host of the worker that runs the job, or ran an attempt that failed or crashed."""
    tags: Iterable[str] | None
    """Tags, all of which the job has."""
    text: str | None
    """Text in the arguments or in an attempt's error or message; upper and lower case are the same."""
    reason: DeadReason | ReasonName | None
    """Why the job is dead."""
    created_after: datetime | Span | None
    """When the job was enqueued: a datetime with a time zone, or how long ago, as in `"2h"`."""
    created_before: datetime | Span | None
    ended_after: datetime | Span | None
    """When the job completed, was cancelled or died: a datetime with a time zone, or how long ago."""
    ended_before: datetime | Span | None


def make_filter(call: str, /, **given: Unpack[FilterValues]) -> JobFilter:
    """Return a validated filter; None counts as not given. Errors name `call`.

    Raises:
        ConfigurationError: A condition is unknown or has an invalid value.
    """
    values = checked(call, given, _CHECKS)
    return JobFilter(states=values.pop("state", ()), **values)


def _states(given: Any) -> tuple[JobState, ...]:
    names = [given] if isinstance(given, str) else list(given)
    for name in names:
        if name not in tuple(JobState):
            hint = did_you_mean(str(name), list(JobState)) or f"; use {', '.join(JobState)}"
            raise ValueError(f"{name!r} is not a state{hint}")
    return tuple(state for state in JobState if state in names)


def _reason(given: str) -> DeadReason:
    if given not in tuple(DeadReason):
        hint = did_you_mean(str(given), list(DeadReason)) or f"; use {', '.join(DeadReason)}"
        raise ValueError(f"{given!r} is not a reason{hint}")
    return DeadReason(given)


def _instant(given: datetime | Span) -> Instant:
    if not isinstance(given, datetime):
        return Ago(parse_duration(given))
    if given.tzinfo is None:
        raise ValueError(f"{given.isoformat()} has no time zone; add one, as in datetime.now(UTC)")
    return given.timestamp()


def _text(given: str) -> str:
    if not isinstance(given, str):
        raise TypeError(f"must be a string, got {given!r}")
    return given


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "state": _states,
    "queue": check_queue,
    "name": _text,
    "worker": _text,
    "tags": check_tags,
    "text": _text,
    "reason": _reason,
    "created_after": _instant,
    "created_before": _instant,
    "ended_after": _instant,
    "ended_before": _instant,
}
"""The check of each condition, which returns its validated form."""
