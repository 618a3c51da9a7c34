"""What a pass may do about a schedule, as values that `jobpools.control` carries out."""

from dataclasses import dataclass, field
from typing import Any

from jobpools.core.decision import Decision
from jobpools.core.events import Event
from jobpools.core.schedules.facts import FiredJob


@dataclass(frozen=True, slots=True)
class Fire:
    """One tick of a schedule that is to be enqueued."""

    id: str
    """A hash of (schedule, due time): the job's id, so that firing twice enqueues once."""
    due: float
    replaces: tuple[FiredJob, ...] = ()
    """Jobs of former fires to cancel first (concurrencyPolicy Replace)."""


@dataclass(frozen=True, slots=True)
class SchedulePlan:
    """What one pass decided about one schedule."""

    fires: tuple[Fire, ...]
    handled: float | None
    """The latest tick that is dealt with after this pass, to be recorded after the fires are enqueued; None: no tick
    was due, so there is nothing to record."""
    missed: int
    """How many ticks this pass gave up."""
    jobs: tuple[FiredJob, ...]
    """What is to be remembered of fired jobs after this pass, as `ScheduleFacts.jobs`."""
    next_due: float | None
    """The next tick; None: there is none, or it is not known."""
    look_at: float
    """When this schedule is worth another look, seconds since the epoch."""
    decision: Decision[int]
    """How many fires, and why."""
    status: dict[str, Any] = field(default_factory=dict)
    """The object's status in the form of the CRD, conditions included, transition times kept from before."""
    events: tuple[Event, ...] = ()
