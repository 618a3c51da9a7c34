"""What a pass may do about a pool, as values that `jobpools.control` carries out."""

from dataclasses import dataclass

from jobpools.core.text.names import QueueName


@dataclass(frozen=True, slots=True)
class EnsurePool:
    """Make the Deployment or the process group match the spec; the number of workers stays as it is."""


@dataclass(frozen=True, slots=True)
class ForceDrainWorkers:
    """Lock these workers so that they claim no more, even if they hold leases. Their running jobs continue."""

    workers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DrainWorkers:
    """Lock these workers so that they claim no more. A worker that holds a lease refuses."""

    workers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UndrainWorkers:
    """Let these workers claim again."""

    workers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MarkWorkers:
    """Mark exactly these workers to be removed first when the pool scales down; unmark all others."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetReplicas:
    """Ask for this many workers."""

    replicas: int


@dataclass(frozen=True, slots=True)
class ReleaseLeases:
    """Settle what these workers held: they have certainly ended, so their leases need not expire."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetLimits:
    """Set the limits of the spec in these queues."""

    queues: tuple[QueueName, ...]


@dataclass(frozen=True, slots=True)
class WriteSettings:
    """Write the settings of the spec that running workers follow."""

    version: str


@dataclass(frozen=True, slots=True)
class MaintainQueues:
    """Promote due jobs, rescue expired leases and trim retained jobs, because no worker is there to do it."""


Action = (
    EnsurePool
    | ForceDrainWorkers
    | DrainWorkers
    | UndrainWorkers
    | MarkWorkers
    | SetReplicas
    | ReleaseLeases
    | SetLimits
    | WriteSettings
    | MaintainQueues
)
