"""What is known of a schedule before anything is decided. None is unknown."""

from dataclasses import dataclass

from jobpools.core.jobs.job import JobState


@dataclass(frozen=True, slots=True)
class FiredJob:
    """The job of a fire."""

    id: str
    queue: str
    state: str = ""
    """Empty: the queue knows nothing of it any more, so it has ended."""

    @property
    def active(self) -> bool:
        """It has not ended."""
        return bool(self.state) and not JobState(self.state).ended


@dataclass(frozen=True, slots=True)
class ScheduleFacts:
    """What is known of one schedule."""

    created: float
    """When the schedule, with its present times, was first seen; ticks up to then do not count."""
    last_due: float | None = None
    """The latest tick that was handled (fired or counted as missed); None: never."""
    last_fire: float | None = None
    """The latest tick that was fired; None: never."""
    jobs: tuple[FiredJob, ...] = ()
    """Of the latest fires, oldest first: the last one, and before it those that had not ended at the look before."""
    fired: int = 0
    missed: int = 0
