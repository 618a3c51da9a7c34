"""The figures that `jobpools up` shows of a pool, and the changes that it prints."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from jobpools.core.pools.reasons import ConditionType, Reason
from jobpools.core.pools.specs import Pool
from jobpools.core.pools.status import PoolStatus
from jobpools.core.text.durations import format_duration
from jobpools.store.ledger import Ledger

STOPPING: Final = "Stopping"
"""Reason of every pool while the run ends. A pool's status never has it."""
HEALTHY: Final[frozenset[str]] = frozenset({Reason.WORKING, Reason.IDLE, Reason.SCALED_TO_ZERO})
TRANSIENT: Final[frozenset[str]] = frozenset({Reason.WORKERS_STARTING, Reason.SCALING_UP, Reason.PAUSED, STOPPING})
"""Reasons that are neither healthy nor a problem; every other reason is a problem."""
COLUMNS: Final = ("POOL", "READY", "DESIRED", "BUSY", "QUEUED", "OLDEST", "REASON")


@dataclass(frozen=True, slots=True)
class PoolRow:
    """The figures of one pool at one moment; None: unknown."""

    pool: str
    ready: int | None = None
    """Workers that are ready."""
    desired: int | None = None
    """Workers that the planner asks for."""
    busy: int | None = None
    """Slots that run a job."""
    queued: int | None = None
    """Jobs that wait for a slot."""
    oldest: int | None = None
    """Seconds that the oldest queued job has waited."""
    reason: str = ""
    """Reason of the condition Ready."""
    message: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """Return the texts of COLUMNS; unknown figures are empty."""
        age = "" if self.oldest is None else format_duration(float(self.oldest))
        figures = ("" if each is None else str(each) for each in (self.ready, self.desired, self.busy, self.queued))
        return (self.pool, *figures, age, self.reason)

    @property
    def signature(self) -> tuple[object, ...]:
        """Return what is compared with the row printed last: the pool is printed again when this differs."""
        problem = "" if self.reason in HEALTHY | TRANSIENT else self.reason
        return self.desired, self.ready == self.desired, problem


def row_of(name: str, pool: Pool, status: PoolStatus, desired: int | None) -> PoolRow:
    """Return the row of a pool after a pass."""
    ready = status.condition(ConditionType.READY)
    busy, queued = _busy_and_waiting(pool, status.ready_replicas, status.in_flight, status.queued)
    return PoolRow(
        pool=name,
        ready=status.ready_replicas,
        desired=desired,
        busy=busy,
        queued=queued,
        oldest=status.oldest_seconds,
        reason=ready.get("reason", ""),
        message=ready.get("message", ""),
    )


def stopping_row(row: PoolRow, pool: Pool, running: int, ledgers: Mapping[str, Ledger]) -> PoolRow:
    """Return the row of a pool while the run ends, when no pass updates its status."""
    queues = [ledgers[queue.name] for queue in pool.spec.queues if queue.name in ledgers]
    in_flight, queued = sum(each.running for each in queues), sum(each.ready for each in queues)
    busy, waiting = _busy_and_waiting(pool, running, in_flight, queued)
    return replace(row, ready=running, desired=0, busy=busy, queued=waiting, oldest=None, reason=STOPPING)


def _busy_and_waiting(
    pool: Pool, workers: int | None, in_flight: int | None, queued: int | None
) -> tuple[int | None, int | None]:
    """Return (busy slots, waiting jobs). Jobs that a worker claimed beyond its slots count as waiting."""
    if workers is None or in_flight is None or queued is None:
        return None, queued
    busy = min(in_flight, workers * pool.spec.concurrency)
    return busy, queued + in_flight - busy
