"""Decide what the jobs that remain in the queues mean for a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from jobpools.core.decision import Decision
from jobpools.core.pools.specs import Pool, ScalingMode
from jobpools.core.text.did_you_mean import did_you_mean
from jobpools.core.text.durations import format_duration
from jobpools.core.text.plurals import count_of
from jobpools.core.text.timestamps import local_timestamp

SOON = 5.0
"""Seconds. A job that is due within them needs no message."""


class Remaining(StrEnum):
    """The meaning of the remaining jobs for the run."""

    NONE = "NoJobs"
    """No job remains."""
    ACTIVE = "Active"
    """Jobs run, or will run in a moment."""
    SCHEDULED = "Scheduled"
    """The next job is due later; the message says when."""
    STUCK = "Stuck"
    """Only jobs remain that no worker of these pools can run."""


@dataclass(frozen=True, slots=True)
class QueueContents:
    """The jobs of one queue that have not ended."""

    queue: str
    ready: int = 0
    running: int = 0
    scheduled: int = 0
    handed_back: Mapping[str, int] = field(default_factory=dict[str, int])
    """Number of scheduled jobs that workers handed back unrun, by reason."""
    next_due: float | None = None
    """When the first of the other scheduled jobs is due, seconds since the epoch; None: there is none."""
    unserved: str = ""
    """Why no worker claims from the queue; empty if one does."""
    apps: tuple[str, ...] = ()
    """Apps of the pools that serve the queue."""

    @property
    def is_served(self) -> bool:
        """Whether a worker claims from the queue, or will."""
        return not self.unserved

    @property
    def is_active(self) -> bool:
        """Whether jobs run, or wait for a worker that will claim them."""
        return self.running > 0 or (self.is_served and self.ready > 0)

    @property
    def runnable_later(self) -> int:
        """Scheduled jobs that no worker has handed back."""
        return self.scheduled - sum(self.handed_back.values()) if self.is_served else 0

    def stuck(self) -> list[str]:
        """Return one line for each group of jobs that cannot run: how many, why, and how to fix it."""
        if self.unserved:
            count = self.ready + self.scheduled
            return [f"{count_of(count, 'job')} of queue {self.queue} cannot run: {self.unserved}"] if count else []
        fix = f"fix {' or '.join(self.apps)} and start again"
        return [
            f"{count_of(count, 'job')} of queue {self.queue} cannot run: {reason}; {fix}"
            for reason, count in self.handed_back.items()
        ]


def decide(queues: Sequence[QueueContents], now: float) -> Decision[tuple[str, ...]]:
    """Return a line for each group of jobs that cannot run; the reason is a `Remaining`.

    Args:
        queues: What each queue holds.
        now: Seconds since the epoch.
    """
    stuck = tuple(line for each in queues for line in each.stuck())
    due = min((each.next_due for each in queues if each.is_served and each.next_due is not None), default=None)
    if any(each.is_active for each in queues):
        return Decision((), Remaining.ACTIVE, "jobs run, or will run in a moment")
    if due is not None and due <= now + SOON:
        return Decision((), Remaining.ACTIVE, "a job is due soon")
    if due is not None:
        return Decision(stuck, Remaining.SCHEDULED, _idle_until(due, sum(each.runnable_later for each in queues), now))
    return Decision(stuck, Remaining.STUCK if stuck else Remaining.NONE, "; ".join(stuck) or "no job remains")


def _idle_until(due: float, count: int, now: float) -> str:
    at = local_timestamp(due)
    jobs = count_of(count, "job is scheduled for that time", "jobs are scheduled for that time or later")
    return f"idle until {at}, in {format_duration(due - now)}: {jobs}; press Ctrl-C to stop now"


def why_unserved(queue: str, pools: Sequence[Pool]) -> str:
    """Return why no worker of these pools claims from a queue, and how to fix it; empty if one does, or will."""
    pools_of_queue = [pool for pool in pools if any(each.name == queue for each in pool.spec.queues)]
    if not pools_of_queue:
        known = {each.name for pool in pools for each in pool.spec.queues}
        return f"no pool in these files serves it{did_you_mean(queue, known)}"
    reasons = [_why_without_workers(pool) for pool in pools_of_queue]
    return ", ".join(reasons) if all(reasons) else ""


def _why_without_workers(pool: Pool) -> str:
    if pool.spec.paused:
        return f"pool {pool.meta.name} is paused; set paused: false"
    if pool.spec.scaling.mode is ScalingMode.MANUAL and pool.spec.replicas == 0:
        return f"pool {pool.meta.name} has no workers; set replicas: 1 or more"
    return ""
