"""Settlements on their way to Redis: they stay here until a step that carried them was answered."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from jobpools.core.jobs.job import Priority, Settlement
from jobpools.store.records import completed_record
from jobpools.store.step import Completed, Settled

BATCH_LIMIT = 1000
"""Maximum settlements of each kind in one step."""


class Batch(NamedTuple):
    """The settlements that one step sends."""

    completed: Mapping[int, Completed]
    """By milliseconds for which the results are kept."""
    settled: Sequence[Settled]
    """Attempts that did not complete."""

    def leases(self) -> Iterator[str]:
        """Return the leases that these settlements end."""
        completed = (group.lease_ids for group in self.completed.values())
        return chain(chain.from_iterable(completed), [each.lease_id for each in self.settled])


class Outbox:
    """The settlements of one queue that Redis has not acknowledged."""

    __slots__ = ("_completed", "_settled")

    def __init__(self) -> None:
        self._completed: dict[int, Completed] = {}
        """By milliseconds to keep the results: they are often the same for all, and then sent once a step."""
        self._settled: list[Settled] = []

    def __bool__(self) -> bool:
        """Return whether there is anything to send."""
        return bool(self._completed or self._settled)

    def __contains__(self, lease: str) -> bool:
        """Return whether the settlement of an attempt that did not complete is still to be acknowledged."""
        return any(each.lease_id == lease for each in self._settled)

    def complete(self, lease: str, name: str, result: bytes, seconds: float, ttl: float, labels: bytes = b"") -> None:
        """Add an attempt that returned a result, to be kept for `ttl` seconds; `labels` is as in `completed_record`."""
        keep = int(ttl * 1000)
        group = self._completed.get(keep)
        if group is None:
            group = self._completed[keep] = Completed()
        group.lease_ids.append(lease)
        group.records.append(completed_record(name, result, seconds, labels))

    def add(self, lease: str, priority: Priority, settlement: Settlement) -> None:
        """Add an attempt that did not complete."""
        self._settled.append(Settled(lease, priority, settlement))

    def batch(self) -> Batch:
        """Return what the next step sends. It stays in the outbox until `acknowledge`."""
        completed = {keep: group.first(BATCH_LIMIT) for keep, group in self._completed.items()}
        return Batch(completed, self._settled[:BATCH_LIMIT])

    def acknowledge(self, batch: Batch) -> None:
        """Forget a batch that has reached Redis."""
        for keep, group in batch.completed.items():
            if not self._completed[keep].remove_first(len(group.lease_ids)):
                del self._completed[keep]
        del self._settled[: len(batch.settled)]
