"""What a pass may do to the world and say of it: values, carried out by `jobpools.control`."""

from dataclasses import dataclass, field
from typing import Any

from jobpools.core.facts import FiredJob, Memory
from jobpools.core.units import Decision


@dataclass(frozen=True, slots=True)
class EnsurePool:
    """Make the Deployment (or the process group) what the spec says, the number of workers left as it is."""


@dataclass(frozen=True, slots=True)
class PauseWorkers:
    """These workers may claim no more, whatever they hold; what runs goes on. `UndrainWorkers` ends it."""

    workers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DrainWorkers:
    """Take the lock: these workers may claim no more. One that holds a lease refuses."""

    workers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UndrainWorkers:
    """Give the lock back."""

    workers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MarkWorkers:
    """Say which workers go first when the pool shrinks: exactly these, all others unmarked."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetReplicas:
    """Ask for this many workers."""

    replicas: int


@dataclass(frozen=True, slots=True)
class ReleaseLeases:
    """These workers are gone for certain: their jobs need not wait for the leases to run out."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MaintainQueues:
    """Promote due jobs and rescue expired leases, where no worker is there to do it."""


Action = (
    EnsurePool
    | PauseWorkers
    | DrainWorkers
    | UndrainWorkers
    | MarkWorkers
    | SetReplicas
    | ReleaseLeases
    | MaintainQueues
)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, said once."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What one pass decided about one pool.

    Actions are carried out in order. The first that fails ends the pass, but for an EnsurePool of what is there.
    """

    actions: tuple[Action, ...]
    desired: Decision[int | None]
    """How many workers there should be, and why; None: unknown, the last size is held."""
    status: dict[str, Any]
    """The object's status in the form of the CRD, conditions included, transition times kept from before."""
    events: tuple[Event, ...]
    memory: Memory
    requeue_after: float
    """Seconds until the next look, if nothing wakes the loop before."""
    misdeletions: int = 0
    """How many chosen workers were seen to have survived a scale-down, because the cluster took others."""


@dataclass(frozen=True, slots=True)
class Fire:
    """One tick of a schedule that is to be enqueued."""

    id: str
    """A hash of (schedule, due time): the job's id, so that firing twice enqueues once."""
    due: float
    replaces: tuple[FiredJob, ...] = ()
    """Jobs of former fires to cancel first (concurrencyPolicy Replace)."""


@dataclass(frozen=True, slots=True)
class CronPlan:
    """What one pass decided about one schedule."""

    fires: tuple[Fire, ...]
    handled: float | None
    """The latest tick that is dealt with after this pass, to be recorded after the fires are enqueued; None: no tick
    was due, so there is nothing to record."""
    missed: int
    """How many ticks this pass gave up."""
    jobs: tuple[FiredJob, ...]
    """What is to be remembered of fired jobs after this pass, as `CronFacts.jobs`."""
    next_due: float | None
    """The next tick; None: there is none, or it is not known."""
    look_at: float
    """When this schedule is worth another look, seconds since the epoch."""
    decision: Decision[int]
    """How many fires, and why."""
    status: dict[str, Any] = field(default_factory=dict)
    """The object's status in the form of the CRD, conditions included, transition times kept from before."""
    events: tuple[Event, ...] = ()
