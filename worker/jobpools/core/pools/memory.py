"""What one pass over a pool remembers for the next one."""

from dataclasses import dataclass

from jobpools.core.pools.reasons import Reason


@dataclass(frozen=True, slots=True)
class Sample:
    """Totals of a pool's queues at one moment; rates are computed between two samples."""

    at: float
    """Seconds since the epoch."""
    completed: int
    failed: int
    crashed: int


@dataclass(frozen=True, slots=True)
class Memory:
    """State that one pass hands to the next. It is lost at a restart and then rebuilt: no promise depends on it."""

    desired: tuple[tuple[float, int], ...] = ()
    """(time, workers needed): for each number that was needed in the last minutes, the latest time when it was. The
    stabilization windows read it."""
    replicas: tuple[tuple[float, int], ...] = ()
    """(time, workers asked for) at each change, oldest first, for the scaling policies."""
    active_at: float | None = None
    """When a job was last queued, due or running, seconds since the epoch. None: unknown."""
    samples: tuple[Sample, ...] = ()
    """Oldest first."""
    firing: frozenset[Reason] | None = None
    """Alerts that fire. None: this process has not evaluated them yet."""
    locked: tuple[str, ...] = ()
    """Ids of workers that this process drained in all queues. Only these locks are known to be complete."""
    draining_since: float | None = None
    """When the scale-down in progress took its first lock, seconds since the epoch."""
    chosen: tuple[str, ...] = ()
    """Names of the workers that the latest scale-down chose, to compare them with the workers that were removed."""
    settings: str = ""
    """Version of the settings that this process has written; empty: none."""
    scaled_down_to: int | None = None
    """Number of workers that the latest scale-down asked for."""
