"""Job counts since the start of a run, also across restarts of a Redis that lost its data."""

from collections.abc import Mapping

from jobpools.store.ledger import Ledger

_EMPTY = Ledger()


class RunCounts:
    """Counts of the jobs of all queues since the run began."""

    def __init__(self) -> None:
        self.total = _EMPTY
        """Sum over all queues since each was first seen."""
        self.ledgers: Mapping[str, Ledger] = {}
        """Counts of each queue as last read."""
        self.unfinished = 0
        """Number of jobs that have not ended, including those from before the run, as last read."""
        self.is_current = False
        """Whether the counts could be read when they were last due."""
        self._first: dict[str, Ledger] = {}
        """First reading of each queue; empty after Redis lost its data."""
        self._last: dict[str, Ledger] = {}
        """Latest reading of each queue."""
        self._before_loss = _EMPTY
        """Counts of queues up to the time at which Redis lost their data."""

    @property
    def ended(self) -> int:
        """Return the number of jobs that ended since the run began."""
        total = self.total
        return total.completed + total.dead + total.cancelled + total.purged + total.dropped

    def update(self, ledgers: Mapping[str, Ledger]) -> None:
        """Record a reading of the counts of all queues."""
        for queue, ledger in ledgers.items():
            before = self._last.get(queue)
            if before is None:
                self._first[queue] = ledger
            elif ledger.enqueued < before.enqueued:
                # This total only grows: Redis lost its data. Jobs that waited or were dead then count as lost.
                first = self._first[queue]
                since_first = before - first
                accepted = since_first.enqueued + first.unfinished + first.dead
                self._before_loss += Ledger(
                    enqueued=accepted,
                    completed=since_first.completed,
                    cancelled=since_first.cancelled,
                    purged=since_first.purged,
                    died=since_first.died,
                    failed=since_first.failed,
                    dropped=since_first.dropped,
                )
                self._first[queue] = _EMPTY
            self._last[queue] = ledger
        self.total = sum((ledger - self._first[queue] for queue, ledger in self._last.items()), self._before_loss)
        self.ledgers = ledgers
        self.unfinished = sum(each.unfinished for each in ledgers.values())
        self.is_current = True
