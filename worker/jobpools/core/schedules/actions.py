"""The actions of a pass over a schedule, as values that `jobpools.control` carries out."""

from dataclasses import dataclass, field
from typing import Any

from jobpools.core.decision import Decision
from jobpools.core.events import Event
from jobpools.core.schedules.facts import FiredJob


@dataclass(frozen=True, slots=True)
class Fire:
    """A tick whose job is to be enqueued."""

    id: str
    """The job's id, a hash of the schedule and the due time, so that firing twice enqueues once."""
    due: float
    replaces: tuple[FiredJob, ...] = ()
    """Jobs of earlier fires to cancel first (concurrencyPolicy Replace)."""


@dataclass(frozen=True, slots=True)
class SchedulePlan:
    """The plan of one pass for one schedule."""

    fires: tuple[Fire, ...]
    handled: float | None
    """The latest tick that this pass fires or counts as missed, to be recorded after the fires are enqueued; None: no
    tick was due."""
    missed: int
    """Number of ticks that this pass counts as missed."""
    jobs: tuple[FiredJob, ...]
    """The next pass's `ScheduleFacts.jobs`."""
    next_due: float | None
    """The next tick; None: there is none, or it is unknown."""
    next_pass: float
    """When the next pass over this schedule is due, seconds since the epoch."""
    decision: Decision[int]
    """The number of fires, and why."""
    status: dict[str, Any] = field(default_factory=dict[str, Any])
    """The object's status as in the CRD, conditions included."""
    events: tuple[Event, ...] = ()
