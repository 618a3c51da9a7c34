"""What there is to see of a run: rows of figures, things that happened, samples for a plot. Draws nothing."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from jobpools.core.conditions import condition
from jobpools.core.pools.plan import Plan
from jobpools.core.pools.specs import Pool
from jobpools.core.text.durations import format_duration
from jobpools.store.ledger import Ledger

GOOD = frozenset({"Working", "Idle", "ScaledToZero"})
CALM = frozenset({"WorkersStarting", "ScalingUp", "Paused", "Manual", "Stopping"})
"""Reasons that are no news; every other one is."""
SAID = frozenset({"WorkerDied", "WorkerNotStarting"})
"""Events that the cluster of processes has told already, with more to it."""
COLUMNS = ("POOL", "READY", "DESIRED", "BUSY", "QUEUED", "OLDEST", "REASON")


@dataclass(frozen=True, slots=True)
class Row:
    """One pool now; None is unknown."""

    pool: str
    ready: int | None = None
    desired: int | None = None
    busy: int | None = None
    queued: int | None = None
    oldest: int | None = None
    """Seconds."""
    reason: str = ""
    message: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """In the order of COLUMNS, unknown ones empty."""
        age = "" if self.oldest is None else format_duration(float(self.oldest))
        figures = ("" if each is None else str(each) for each in (self.ready, self.desired, self.busy, self.queued))
        return (self.pool, *figures, age, self.reason)


@dataclass(frozen=True, slots=True)
class Sample:
    """One pool at one moment."""

    at: float
    """Seconds since the run began."""
    queued: int
    busy: int
    workers: int


@dataclass(slots=True)
class Board:
    """The port `Reporter` of the control loop, and what the views look at."""

    say: Callable[[str], None]
    """Gets what happened, one line each."""
    changed: Callable[[Row], None]
    """Called when a pool wants another size, has reached it, or is in trouble."""
    namespace: str = "default"
    """The one that needs no mention."""
    sampling: bool = False
    """Whether samples are wanted: they pile up for as long as the run lasts."""
    started: float = field(default_factory=time.monotonic)
    rows: dict[str, Row] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    _told: dict[str, tuple[object, ...]] = field(default_factory=dict)
    books: Ledger = field(default_factory=Ledger)
    """Of all queues, since the run began."""
    waiting: int = 0
    """Jobs whose end is still to come, those that were there before the run included; as last known."""

    @property
    def ended(self) -> int:
        """Jobs that came to their end since the run began."""
        books = self.books
        return books.completed + books.dead + books.cancelled + books.purged + books.dropped

    async def report(self, pool: Pool, plan: Plan) -> None:
        """One pass of one pool."""
        key, known = pool.meta.key, plan.status
        shown = key.removeprefix(f"{self.namespace}/")
        ready = condition(known, "Ready")
        busy, queued = _slots(pool, known.get("readyReplicas"), known.get("inFlight"), known.get("queued"))
        row = Row(
            pool=shown,
            ready=known.get("readyReplicas"),
            desired=plan.desired.value,
            busy=busy,
            queued=queued,
            oldest=known.get("oldestSeconds"),
            reason=ready.get("reason", ""),
            message=ready.get("message", ""),
        )
        self.rows[key], self.plans[key] = row, plan
        for event in plan.events:
            if event.warning and event.reason not in SAID:
                self.say(f"{row.pool}: {event.reason}: {event.message}")
        self._tell(key, row)
        self._sample(row)

    def leaving(self, pool: Pool, running: int, ledgers: Mapping[str, Ledger]) -> None:
        """The run ends: what is still there of a pool, when nobody plans any more."""
        row = self.rows.get(pool.meta.key)
        if row is None or not (row.ready or row.desired):
            return
        queues = [ledgers[queue.name] for queue in pool.spec.queues if queue.name in ledgers]
        in_flight, ready = sum(each.running for each in queues), sum(each.ready for each in queues)
        busy, queued = _slots(pool, running, in_flight, ready)
        after = replace(row, ready=running, desired=0, busy=busy, queued=queued, oldest=None, reason="Stopping")
        self.rows[pool.meta.key] = after
        self._tell(pool.meta.key, after)
        self._sample(after)

    def _tell(self, key: str, row: Row) -> None:
        """What is unknown is no news: who finds out that Redis is away says so, once for all pools."""
        if row.desired is None:
            return
        known = self._told.get(key) or _shape(Row(row.pool, ready=0, desired=0))
        self._told[key] = _shape(row)
        if self._told[key] != known:
            self.changed(row)

    def _sample(self, row: Row) -> None:
        if not self.sampling or row.queued is None or row.ready is None:
            return
        known = self.samples.setdefault(row.pool, [])
        sample = Sample(time.monotonic() - self.started, row.queued, row.busy or 0, row.ready)
        if not known or replace(known[-1], at=sample.at) != sample:
            known.append(sample)

    def forget(self, key: str) -> None:
        """The pool's file is gone."""
        self.rows.pop(key, None)
        self.plans.pop(key, None)
        self._told.pop(key, None)


def _slots(pool: Pool, workers: int | None, in_flight: int | None, ready: int | None) -> tuple[int | None, int | None]:
    """(slots that run a job, jobs that wait for one): what a worker claimed beyond its slots waits as well."""
    if workers is None or in_flight is None or ready is None:
        return None, ready
    busy = min(in_flight, workers * pool.spec.concurrency)
    return busy, ready + in_flight - busy


def _shape(row: Row) -> tuple[object, ...]:
    trouble = "" if row.reason in GOOD | CALM else row.reason
    return row.desired, row.ready == row.desired, trouble
