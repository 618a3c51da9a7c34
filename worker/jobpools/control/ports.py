"""The ports of the control loop: protocols of a cluster, of the queues, of schedules and of reporters.

A Cluster raises ObservationError for what it cannot read, and Queues raise StoreError: both mean unknown.
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
    """The place where workers run: Deployments and pods, or processes of this machine."""

    async def observe(self, pool: Pool) -> ClusterFacts:
        """Return the pool's workers as they are now. Raises ObservationError when they cannot be read."""
        ...

    async def ensure(self, pool: Pool) -> None:
        """Create or update what runs the pool to match its spec; keep the number of workers (0 for a new pool)."""
        ...

    async def mark(self, pool: Pool, names: Sequence[str]) -> None:
        """Mark exactly these workers to be removed first when the pool scales down."""
        ...

    async def scale(self, pool: Pool, replicas: int) -> None:
        """Ask for this many workers."""
        ...


class Queues(Protocol):
    """The queues of one Redis endpoint, and the heartbeats of their workers."""

    async def observe(self, pools: Sequence[Pool]) -> EndpointFacts:
        """Read the queues and heartbeats of all pools in one round trip. Raises StoreError."""
        ...

    async def pause(self, pool: Pool, workers: Sequence[str]) -> None:
        """Stop these workers (by id) from claiming, even those that hold leases. Running jobs continue.

        `undrain` lets them claim again.
        """
        ...

    async def drain(self, pool: Pool, workers: Sequence[str]) -> tuple[str, ...]:
        """Stop the workers (by id) that hold no lease from claiming; return their ids."""
        ...

    async def undrain(self, pool: Pool, workers: Sequence[str]) -> None:
        """Let these workers (by id) claim again."""
        ...

    async def release(self, pool: Pool, names: Sequence[str]) -> int:
        """Settle as crashed what ended workers (by host name) still hold; return the number of jobs."""
        ...

    async def set_limits(self, pool: Pool, queues: Sequence[str]) -> None:
        """Set the limits of the pool's spec in these queues."""
        ...

    async def write_settings(self, pool: Pool) -> None:
        """Write the settings that the pool's running workers follow."""
        ...

    async def maintain(self, pool: Pool) -> int:
        """Promote due jobs, rescue expired leases and trim ended jobs; return the number of jobs moved."""
        ...


class Reporter(Protocol):
    """The receiver of each pass of a pool."""

    async def report(self, pool: Pool, plan: Plan) -> None:
        """Report the status and the events of one pass, once."""
        ...


class Schedules(Protocol):
    """The state of schedules in one Redis endpoint, and the queues of their jobs."""

    async def now(self) -> float:
        """Return the server's time, seconds since the epoch. Raises StoreError."""
        ...

    async def observe(self, schedules: Sequence[Schedule], now: float) -> dict[str, ScheduleFacts]:
        """Read the state of each schedule, by key; a new one begins at `now`. Raises StoreError."""
        ...

    async def enqueue(self, due: Sequence[tuple[Schedule, ScheduleFacts, SchedulePlan]], now: float) -> dict[str, str]:
        """Enqueue the fires of these plans; return the cause of each failure by key. Idempotent."""
        ...

    async def record(self, done: Sequence[tuple[Schedule, ScheduleFacts, SchedulePlan]]) -> list[bool]:
        """Record the handled ticks; return False for each schedule whose facts are outdated. Raises StoreError."""
        ...

    async def forget(self, names: Sequence[str]) -> None:
        """Delete the state of the schedules with these keys. Raises StoreError."""
        ...


class ScheduleReporter(Protocol):
    """The receiver of each pass of a schedule."""

    async def report_schedule(self, schedule: Schedule, plan: SchedulePlan) -> None:
        """Report the status and the events of one pass, once."""
        ...
