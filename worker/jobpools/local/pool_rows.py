"""The figures that `jobpools up` shows of a pool, and which of their changes are worth a line: pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from jobpools.core.pools.reasons import ConditionType
from jobpools.core.pools.specs import Pool
from jobpools.core.pools.status import PoolStatus
from jobpools.core.text.durations import format_duration
from jobpools.store.ledger import Ledger

HEALTHY = frozenset({"Working", "Idle", "ScaledToZero"})
TRANSIENT = frozenset({"WorkersStarting", "ScalingUp", "Paused", "Manual", "Stopping"})
"""Reasons that are neither healthy nor a problem; every other reason is a problem."""
COLUMNS = ("POOL", "READY", "DESIRED", "BUSY", "QUEUED", "OLDEST", "REASON")


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
        """Return what must change before the pool is worth another line: its size, or a problem."""
        problem = "" if self.reason in HEALTHY | TRANSIENT else self.reason
        return self.desired, self.ready == self.desired, problem


def row_of(name: str, pool: Pool, status: PoolStatus, desired: int | None) -> PoolRow:
    """Return the row of a pool after a pass."""
    ready = status.condition(ConditionType.READY)
    busy, queued = _slots(pool, status.ready_replicas, status.in_flight, status.queued)
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
    """Return the row of a pool while the run ends: no pass updates its status any more."""
    queues = [ledgers[queue.name] for queue in pool.spec.queues if queue.name in ledgers]
    in_flight, queued = sum(each.running for each in queues), sum(each.ready for each in queues)
    busy, waiting = _slots(pool, running, in_flight, queued)
    return replace(row, ready=running, desired=0, busy=busy, queued=waiting, oldest=None, reason="Stopping")


def _slots(pool: Pool, workers: int | None, in_flight: int | None, queued: int | None) -> tuple[int | None, int | None]:
    """Return (busy slots, waiting jobs). Jobs that a worker claimed beyond its slots count as waiting."""
    if workers is None or in_flight is None or queued is None:
        return None, queued
    busy = min(in_flight, workers * pool.spec.concurrency)
    return busy, queued + in_flight - busy
