"""What a pass may do about a pool, as values that `jobpools.control` carries out."""

from dataclasses import dataclass
from typing import Any

from jobpools.core.decision import Decision
from jobpools.core.events import Event
from jobpools.core.pools.facts import Memory


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
