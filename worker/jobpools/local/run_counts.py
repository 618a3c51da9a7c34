"""Adds up what was done since a run began, over restarts of the server that lost its data as well."""

from jobpools.store.ledger import Ledger

NOTHING = Ledger()


class Books:
    """The queues' ledgers since the start of the run."""

    def __init__(self) -> None:
        self._first: dict[str, Ledger] = {}
        self._last: dict[str, Ledger] = {}
        self._carried = NOTHING
        """What was known of a queue whose counts then began anew: somebody emptied the server."""

    def take(self, now: dict[str, Ledger]) -> Ledger:
        """The sum of all queues' changes since each was first seen."""
        for queue, ledger in now.items():
            before = self._last.get(queue)
            if before is None:
                self._first[queue] = ledger
            elif ledger.enqueued < before.enqueued:
                # It counted more before: what waited or was dead then is nowhere now, and stays in the books as lost.
                first = self._first[queue]
                gone = before - first
                accepted = gone.enqueued + first.waiting + first.dead
                self._carried += Ledger(
                    accepted, gone.completed, gone.cancelled, gone.purged, 0, gone.died, gone.failed,
                    dropped=gone.dropped,
                )  # fmt: skip
                self._first[queue] = NOTHING
            self._last[queue] = ledger
        total = self._carried
        for queue, ledger in self._last.items():
            total += ledger - self._first[queue]
        return total
