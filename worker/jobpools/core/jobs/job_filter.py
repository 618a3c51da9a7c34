"""Which jobs a search, or a command for many jobs, selects."""

import hashlib
from dataclasses import dataclass, fields, replace

from jobpools.core.jobs.job import DeadReason, JobState


@dataclass(frozen=True, slots=True)
class Ago:
    """A time relative to the moment at which a search begins, by the server's clock."""

    seconds: float


Instant = float | Ago
"""A time: seconds since the epoch, or how long ago."""

ENDED_STATES = frozenset({JobState.COMPLETED, JobState.CANCELLED, JobState.DEAD})


@dataclass(frozen=True, slots=True)
class JobFilter:
    """The conditions that a job must meet, all of them; an empty filter selects every job."""

    states: tuple[JobState, ...] = ()
    """States, of which the job is in one; empty: any."""
    queue: str | None = None
    name: str | None = None
    """Name of the handler."""
    worker: str | None = None
    """Id or host of the worker that runs the job, or ran an attempt that failed or crashed."""
    tags: tuple[str, ...] = ()
    """Tags, all of which the job has."""
    text: str = ""
    """Text in the arguments or in an attempt's error or message; upper and lower case are the same."""
    reason: DeadReason | None = None
    """Why the job is dead; None: any reason, also of jobs that are not dead."""
    created_after: Instant | None = None
    created_before: Instant | None = None
    ended_after: Instant | None = None
    ended_before: Instant | None = None

    @property
    def is_empty(self) -> bool:
        """Return whether the filter selects every job."""
        return self == JobFilter()

    def at(self, now: float) -> "JobFilter":
        """Return the filter with absolute times; `now`: seconds since the epoch."""
        return replace(
            self,
            created_after=_absolute(self.created_after, now),
            created_before=_absolute(self.created_before, now),
            ended_after=_absolute(self.ended_after, now),
            ended_before=_absolute(self.ended_before, now),
        )

    def searched_states(self) -> tuple[JobState, ...]:
        """Return the states in which a job can match: the others need not be read.

        A job that has not ended has no end, and the tags of a cancelled job are not kept.
        """
        found = [state for state in JobState if not self.states or state in self.states]
        if self.ended_after is not None or self.ended_before is not None:
            found = [state for state in found if state in ENDED_STATES]
        if self.reason is not None:
            found = [state for state in found if state is JobState.DEAD]
        if self.tags:
            found = [state for state in found if state is not JobState.CANCELLED]
        return tuple(found)

    def digest(self) -> str:
        """Return a short text that differs for different filters: a cursor belongs to one filter."""
        text = repr([(field.name, getattr(self, field.name)) for field in fields(self)])
        return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:12]


def _absolute(given: Instant | None, now: float) -> float | None:
    return now - given.seconds if isinstance(given, Ago) else given


def is_within(at: float | None, after: Instant | None, before: Instant | None) -> bool:
    """Return whether a time lies within two absolute bounds; None: without this bound. An unknown time does not."""
    if after is None and before is None:
        return True
    if not at:
        return False
    return not (isinstance(after, float) and at < after) and not (isinstance(before, float) and at >= before)
