"""What the control loop needs of the world, as Protocols of a few methods each.

A Cluster raises ObservationError for what cannot be read, and Queues raise StoreError: both mean unknown.
"""

from collections.abc import Sequence
from typing import Protocol

from jobpools.core.pools.facts import ClusterFacts, EndpointFacts
from jobpools.core.pools.plan import Plan
from jobpools.core.pools.specs import Pool
from jobpools.core.schedules.actions import SchedulePlan
from jobpools.core.schedules.facts import ScheduleFacts
from jobpools.core.schedules.specs import Schedule


class Cluster(Protocol):
    """Where workers run: Deployments and pods, or processes."""

    async def observe(self, pool: Pool) -> ClusterFacts:
        """What runs for the pool now. Raises ObservationError when it cannot be known."""
        ...

    async def ensure(self, pool: Pool) -> None:
        """Make what runs follow the present spec; the number of workers stays as it is (0 for a new pool)."""
        ...

    async def mark(self, pool: Pool, names: Sequence[str]) -> None:
        """Exactly these workers go first when the pool shrinks."""
        ...

    async def scale(self, pool: Pool, replicas: int) -> None:
        """Ask for this many workers."""
        ...


class Queues(Protocol):
    """One Redis endpoint's queues and the workers that report there."""

    async def observe(self, pools: Sequence[Pool]) -> EndpointFacts:
        """All of the pools' queues and heartbeats in one pipelined read. Raises StoreError."""
        ...

    async def pause(self, pool: Pool, workers: Sequence[str]) -> None:
        """They may claim no more, whatever they hold; what runs goes on. `undrain` ends it."""
        ...

    async def drain(self, pool: Pool, workers: Sequence[str]) -> tuple[str, ...]:
        """Take the lock on those that hold no lease; returns whom it got (worker ids)."""
        ...

    async def undrain(self, pool: Pool, workers: Sequence[str]) -> None:
        """Give the lock back."""
        ...

    async def release(self, pool: Pool, names: Sequence[str]) -> int:
        """Settle as crashed what the gone workers (by host name) still hold; returns how many jobs."""
        ...

    async def maintain(self, pool: Pool) -> int:
        """Promote due jobs and rescue expired leases; returns how many jobs were moved."""
        ...


class Reporter(Protocol):
    """Who tells people."""

    async def report(self, pool: Pool, plan: Plan) -> None:
        """Status and events of one pass, once."""
        ...


class Schedules(Protocol):
    """What one Redis endpoint remembers of schedules, and where their jobs go."""

    async def now(self) -> float:
        """The server's time, seconds since the epoch. Raises StoreError."""
        ...

    async def observe(self, schedules: Sequence[Schedule], now: float) -> dict[str, ScheduleFacts]:
        """What is known of each, by key; one that is new begins at `now`. Raises StoreError."""
        ...

    async def enqueue(self, due: Sequence[tuple[Schedule, ScheduleFacts, SchedulePlan]], now: float) -> dict[str, str]:
        """Enqueue the fires of these plans; by key, why some could not be. Enqueueing one again changes nothing."""
        ...

    async def record(self, done: Sequence[tuple[Schedule, ScheduleFacts, SchedulePlan]]) -> list[bool]:
        """Remember the ticks that were handled; False where they no longer follow the facts. Raises StoreError."""
        ...

    async def forget(self, names: Sequence[str]) -> None:
        """The schedules of these keys are gone. Raises StoreError."""
        ...


class ScheduleReporter(Protocol):
    """Who tells people of schedules."""

    async def report_schedule(self, schedule: Schedule, plan: SchedulePlan) -> None:
        """Status and events of one pass, once."""
        ...
