"""Decide when a run with --until-idle ends, and how."""

from dataclasses import dataclass
from enum import Enum, auto

from jobpools.core.decision import Decision
from jobpools.core.pools.scheduled_minimums import active_minimums
from jobpools.core.pools.specs import Pool, ScalingMode

SUCCESS, FAILURE, INTERRUPTED = 0, 1, 130
"""Exit codes; 130 is what a shell reports for a program that Ctrl-C ended."""


class Ending(Enum):
    """The way in which the control loop of a run ended."""

    DONE = auto()
    """All jobs have ended and all pools are at their minimum."""
    STOPPED = auto()
    """A signal arrived."""
    GAVE_UP = auto()
    """Jobs remain that cannot run."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The facts after one pass."""

    unfinished: int | None
    """Jobs that have not ended; None: unknown."""
    is_stuck: bool
    """Only jobs remain that no worker can run."""
    expects_more_jobs: bool
    """The companion command runs, or a schedule is to be fired at once."""
    crash_looping: tuple[str, ...]
    """Keys of pools whose workers exit before they are ready."""
    pools_at_minimum: bool
    """No pool has more workers than it keeps without jobs."""


def decide_ending(progress: Progress) -> Decision[Ending | None]:
    """Return how a run with --until-idle ends now; None: the run continues."""
    if progress.crash_looping:
        pools = ", ".join(progress.crash_looping)
        return Decision(Ending.GAVE_UP, "CrashLooping", f"giving up: workers of {pools} exit before they are ready")
    if progress.expects_more_jobs:
        return Decision(None, "ExpectsMoreJobs", "")
    if progress.is_stuck:
        return Decision(Ending.GAVE_UP, "Stuck", "")
    if progress.unfinished == 0 and progress.pools_at_minimum:
        return Decision(Ending.DONE, "Idle", "")
    return Decision(None, "Working", "")


def is_at_minimum(pool: Pool, desired: int | None, running: int, now: float) -> bool:
    """Return whether a pool has no more workers than it keeps without jobs.

    Args:
        pool: The pool.
        desired: Workers that the planner asks for; None: unknown.
        running: Workers that exist.
        now: Seconds since the epoch.
    """
    scaling = pool.spec.scaling
    if desired is None:
        return False
    if scaling.mode is ScalingMode.MANUAL or pool.spec.paused:
        return True
    minimum = min(scaling.max, max([scaling.min, *active_minimums(pool.spec, now).values()]))
    return desired <= minimum and running <= minimum


def exit_code(ending: Ending, *, until_idle: bool, has_failure: bool) -> int:
    """Return the exit code of a run. `has_failure`: workers crash-looped or the companion command failed."""
    if ending is Ending.GAVE_UP or has_failure:
        return FAILURE
    return INTERRUPTED if until_idle and ending is Ending.STOPPED else SUCCESS
