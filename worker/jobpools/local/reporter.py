"""The port `Reporter` of the control loop: keeps the latest figures of each pool, and passes on what changed."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from jobpools.core.pools.plan import Plan
from jobpools.core.pools.reasons import Reason
from jobpools.core.pools.specs import Pool
from jobpools.local.pool_rows import PoolRow, row_of, stopping_row
from jobpools.store.ledger import Ledger

_REPORTED_ELSEWHERE: Final[frozenset[str]] = frozenset({Reason.WORKER_DIED, Reason.WORKER_NOT_STARTING})
"""Reasons of events that the process cluster reports itself, with more details."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The figures of one pool at one moment, for a plot."""

    at: float
    """Seconds since the run began."""
    queued: int
    busy: int
    workers: int


class RunReporter:
    """Rows, plans and samples of the pools of one run."""

    def __init__(
        self,
        *,
        notify: Callable[[str], None],
        on_change: Callable[[PoolRow], None],
        namespace: str = "default",
        keep_samples: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin a run at this moment.

        Args:
            notify: Receives messages for the user.
            on_change: Receives the row of a pool whose size or problem changed.
            namespace: Pools in this namespace are shown by name alone.
            keep_samples: Keep samples for a plot; their number grows with the duration of the run.
            clock: Seconds of a clock that is never set back.
        """
        self._notify = notify
        self._on_change = on_change
        self._namespace = namespace
        self._keep_samples = keep_samples
        self._clock = clock
        self._started = clock()
        self.rows: dict[str, PoolRow] = {}
        """Latest row of each pool, by pool key."""
        self.plans: dict[str, Plan] = {}
        """Latest plan of each pool, by pool key."""
        self.samples: dict[str, list[Sample]] = {}
        """By the pool's shown name."""
        self._signatures: dict[str, tuple[object, ...]] = {}
        """Signature of each pool's latest row that was passed on, by pool key."""

    def elapsed(self) -> float:
        """Return the seconds since the run began."""
        return self._clock() - self._started

    async def report(self, pool: Pool, plan: Plan) -> None:
        """Record one pass of one pool."""
        key = pool.meta.key
        row = row_of(key.removeprefix(f"{self._namespace}/"), pool, plan.status, plan.desired.value)
        self.plans[key] = plan
        for event in plan.events:
            if event.warning and event.reason not in _REPORTED_ELSEWHERE:
                self._notify(f"{row.pool}: {event.reason}: {event.message}")
        self._record(key, row)

    def report_stopping(self, pool: Pool, running: int, ledgers: Mapping[str, Ledger]) -> None:
        """Record the pool's remaining workers while the run ends."""
        row = self.rows.get(pool.meta.key)
        if row is not None and (row.ready or row.desired):
            self._record(pool.meta.key, stopping_row(row, pool, running, ledgers))

    def forget(self, key: str) -> None:
        """Remove a pool that is no longer in the files."""
        self.rows.pop(key, None)
        self.plans.pop(key, None)
        self._signatures.pop(key, None)

    def _record(self, key: str, row: PoolRow) -> None:
        self.rows[key] = row
        self._pass_on_change(key, row)
        self._add_sample(row)

    def _pass_on_change(self, key: str, row: PoolRow) -> None:
        if row.desired is None:  # unknown while Redis is unreachable, which is reported once for all pools
            return
        before = self._signatures.get(key) or PoolRow(row.pool, ready=0, desired=0).signature
        self._signatures[key] = row.signature
        if row.signature != before:
            self._on_change(row)

    def _add_sample(self, row: PoolRow) -> None:
        if not self._keep_samples or row.queued is None or row.ready is None:
            return
        known = self.samples.setdefault(row.pool, [])
        sample = Sample(self.elapsed(), row.queued, row.busy or 0, row.ready)
        if not known or replace(known[-1], at=sample.at) != sample:
            known.append(sample)
