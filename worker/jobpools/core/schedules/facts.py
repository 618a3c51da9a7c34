"""Facts about a schedule, the input of a decision. None means unknown."""

from dataclasses import dataclass

from jobpools.core.jobs.job import JobState


@dataclass(frozen=True, slots=True)
class FiredJob:
    """The job of a fire."""

    id: str
    queue: str
    state: str = ""
    """The job's state; empty: the queue no longer knows the job, so it has ended."""

    @property
    def active(self) -> bool:
        """Return whether the job has not ended."""
        return bool(self.state) and not JobState(self.state).ended


@dataclass(frozen=True, slots=True)
class ScheduleFacts:
    """The recorded state of one schedule."""

    created: float
    """When the schedule was first seen with its current times, seconds since the epoch; earlier ticks do not count."""
    last_due: float | None = None
    """The latest tick that was fired or counted as missed; None: none yet."""
    last_fire: float | None = None
    """The latest tick that was fired; None: none yet."""
    jobs: tuple[FiredJob, ...] = ()
    """Jobs of the latest fires, oldest first: those that had not ended at the previous pass, and the last one."""
    fired: int = 0
    """Number of ticks that were fired."""
    missed: int = 0
    """Number of ticks that were counted as missed."""

    @property
    def handled_until(self) -> float:
        """Return the instant up to which ticks are handled or do not count, seconds since the epoch."""
        return max(self.created, self.last_due or 0.0)

    @property
    def unfinished(self) -> tuple[FiredJob, ...]:
        """Return the known jobs that have not ended."""
        return tuple(job for job in self.jobs if job.active)
