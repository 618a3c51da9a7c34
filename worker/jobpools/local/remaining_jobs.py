"""What is left when nothing moves any more: jobs that nobody here can run, and jobs of later."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jobpools.core.decision import Decision
from jobpools.core.pools.specs import Pool, ScalingMode
from jobpools.core.text.durations import format_duration
from jobpools.core.text.suggestions import meant
from jobpools.store import reads
from jobpools.store.connect import Connection
from jobpools.store.ledger import Ledger

STILL = 2.0
"""Seconds in which no book changes before anybody asks what is left: workers of others look for work every second."""
LATER = 5.0
"""Seconds; what is due sooner needs no word."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What one queue holds."""

    queue: str
    ready: int = 0
    running: int = 0
    scheduled: int = 0
    notes: Mapping[str, int] = field(default_factory=dict)
    """Why workers handed scheduled jobs back unrun: how many."""
    next_due: float | None = None
    """When the first of the other scheduled jobs is due, seconds since the epoch; None: there is none."""
    nobody: str = ""
    """Why no worker claims from it; empty: some do, or will."""
    apps: tuple[str, ...] = ()
    """Of the pools that serve it."""


def judge(queues: Sequence[Kept], now: float) -> Decision[tuple[str, ...]]:
    """The value: what cannot run, and how to mend it, a line each.

    Reasons: Idle (nothing is left), Moving, Later (some is due later, and the message says when), Stuck (nothing but
    what cannot run).
    """
    lines = tuple(line for each in queues for line in _stuck(each))
    served = [each for each in queues if not each.nobody]
    due = min((each.next_due for each in served if each.next_due is not None), default=None)
    if any(each.running for each in queues) or any(each.ready for each in served):
        return Decision((), "Moving", "jobs run, or are about to")
    if due is not None and due <= now + LATER:
        return Decision((), "Moving", "a job is due soon")
    if due is not None:
        count = sum(each.scheduled - sum(each.notes.values()) for each in served)
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(due))
        what = "1 job is scheduled for then" if count == 1 else f"{count} jobs are scheduled for then or later"
        message = f"nothing to do until {at}, in {format_duration(due - now)}: {what}; Ctrl-C ends the run before"
        return Decision(lines, "Later", message)
    return Decision(lines, "Stuck" if lines else "Idle", "; ".join(lines) or "no job is left")


def _stuck(kept: Kept) -> list[str]:
    if kept.nobody:
        count = kept.ready + kept.scheduled
        return [f"{_jobs(count)} of queue {kept.queue} cannot run: {kept.nobody}"] if count else []
    mend = f"put it right in {' or '.join(kept.apps)} and start again"
    return [f"{_jobs(count)} of queue {kept.queue} cannot run: {note}; {mend}" for note, count in kept.notes.items()]


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def nobody(queue: str, pools: Sequence[Pool]) -> str:
    """Why no worker of these pools claims from a queue; empty: some do, or will."""
    serving = [pool for pool in pools if any(each.name == queue for each in pool.spec.queues)]
    if not serving:
        known = {each.name for pool in pools for each in pool.spec.queues}
        return f"no pool of these files serves it{meant(queue, known)}"
    reasons = []
    for pool in serving:
        if pool.spec.paused:
            reasons.append(f"pool {pool.meta.name} is paused; set paused: false")
        elif pool.spec.scaling.mode is ScalingMode.MANUAL and pool.spec.replicas == 0:
            reasons.append(f"pool {pool.meta.name} has no workers; set replicas: 1 or more")
        else:
            return ""
    return ", ".join(reasons)


class Leftovers:
    """Asks what is left whenever the books have stood still for a while."""

    def __init__(self) -> None:
        self._books: Mapping[str, Ledger] | None = None
        self._since = 0.0
        self._decision: Decision[tuple[str, ...]] | None = None

    async def look(
        self, connection: Connection, books: Mapping[str, Ledger], pools: Sequence[Pool]
    ) -> Decision[tuple[str, ...]] | None:
        """None: something moves, as far as anybody knows. Raises StoreError.

        `books` are those of all queues that count.
        """
        moment = time.monotonic()
        if books != self._books:
            self._books, self._since, self._decision = books, moment, None
        elif self._decision is None and moment >= self._since + STILL:
            self._decision = judge([await _kept(connection, *each, pools) for each in books.items()], time.time())
        return self._decision


async def _kept(connection: Connection, queue: str, book: Ledger, pools: Sequence[Pool]) -> Kept:
    notes, due = await reads.waits(connection, queue, book.scheduled)
    apps = {pool.spec.app: None for pool in pools if any(each.name == queue for each in pool.spec.queues)}
    return Kept(queue, book.ready, book.running, book.scheduled, notes, due, nobody(queue, pools), tuple(apps))
