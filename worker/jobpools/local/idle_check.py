"""Reads the remaining jobs when the counts of all queues no longer change, and tells the user about them."""

import time
from collections.abc import Callable, Mapping, Sequence

from jobpools.core.decision import Decision
from jobpools.core.pools.specs import Pool
from jobpools.errors import StoreError
from jobpools.local.redis_availability import RedisAvailability
from jobpools.local.remaining_jobs import QueueContents, Remaining, decide, why_unserved
from jobpools.local.run_counts import RunCounts
from jobpools.store.connection import Connection
from jobpools.store.ledger import Ledger
from jobpools.store.wait_reasons import read_wait_reasons

QUIET_PERIOD = 2.0
"""Seconds without a change of any count before the remaining jobs are read; workers look for jobs every second."""


class IdleCheck:
    """Finds out whether the jobs that remain can still run."""

    def __init__(
        self,
        connection: Connection,
        *,
        notify: Callable[[str], None],
        availability: RedisAvailability,
        mention_scheduled: bool,
    ) -> None:
        """Create a check.

        Args:
            connection: Where the queues are read.
            notify: Receives messages for the user.
            availability: Learns about a Redis that cannot be read.
            mention_scheduled: Also tell the user until when the run is idle.
        """
        self._connection = connection
        self._notify = notify
        self._availability = availability
        self._mention_scheduled = mention_scheduled
        self._ledgers: Mapping[str, Ledger] | None = None
        """Counts of each queue at the last call."""
        self._unchanged_since = 0.0
        """Monotonic seconds."""
        self._decision: Decision[tuple[str, ...]] | None = None
        """The decision for these counts; None: not made yet."""
        self._notified: tuple[str, ...] = ()
        """Lines that the user was told last."""

    async def is_stuck(self, counts: RunCounts, pools: Sequence[Pool]) -> bool:
        """Return whether only jobs remain that cannot run; tell the user once which ones, and why."""
        if not counts.is_current or not counts.unfinished:
            return False
        try:
            decision = await self._decide(counts.ledgers, pools)
        except StoreError as error:
            self._availability.failed(error)
            return False
        if decision is None or decision.reason == Remaining.ACTIVE:
            return False
        scheduled = decision.reason == Remaining.SCHEDULED and self._mention_scheduled
        self._notify_once((*decision.value, decision.message) if scheduled else decision.value)
        return decision.reason == Remaining.STUCK

    async def _decide(self, ledgers: Mapping[str, Ledger], pools: Sequence[Pool]) -> Decision[tuple[str, ...]] | None:
        """Return the decision; None while the counts change."""
        now = time.monotonic()
        if ledgers != self._ledgers:
            self._ledgers, self._unchanged_since, self._decision = ledgers, now, None
        elif self._decision is None and now >= self._unchanged_since + QUIET_PERIOD:
            contents = [await self._read(queue, ledger, pools) for queue, ledger in ledgers.items()]
            self._decision = decide(contents, time.time())
        return self._decision

    async def _read(self, queue: str, ledger: Ledger, pools: Sequence[Pool]) -> QueueContents:
        handed_back, next_due = await read_wait_reasons(self._connection, queue, ledger.scheduled)
        apps = {pool.spec.app: None for pool in pools if any(each.name == queue for each in pool.spec.queues)}
        return QueueContents(
            queue=queue,
            ready=ledger.ready,
            running=ledger.running,
            scheduled=ledger.scheduled,
            handed_back=handed_back,
            next_due=next_due,
            unserved=why_unserved(queue, pools),
            apps=tuple(apps),
        )

    def _notify_once(self, lines: tuple[str, ...]) -> None:
        for line in lines:
            if line not in self._notified:
                self._notify(line)
        self._notified = lines
