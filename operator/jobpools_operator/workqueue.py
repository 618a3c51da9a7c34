"""PURE: keys and when each is due. An operation costs the logarithm of the number of keys, not the number."""

import heapq
import itertools
import math
from collections.abc import Iterator

SPARE = 64
"""Outdated heap items that are tolerated, beside one for each key, before the heap is built anew."""


class Workqueue:
    """Keys with one due time each. Keys that are due at the same time come in the order in which they were added."""

    def __init__(self) -> None:
        self._due: dict[str, tuple[float, int]] = {}
        """By key: when it is due, and its number in the order of adding."""
        self._held: set[str] = set()
        self._heap: list[tuple[float, int, str]] = []
        """Items that `_due` does not confirm are outdated, and skipped."""
        self._numbers = itertools.count()

    def __contains__(self, key: str) -> bool:
        return key in self._due

    def __len__(self) -> int:
        return len(self._due)

    def put(self, key: str, at: float) -> None:
        """Make the key due at this time, whatever was said before."""
        number = self._due[key][1] if key in self._due else next(self._numbers)
        if self._due.get(key) != (at, number):
            self._due[key] = (at, number)
            self._push(key)

    def hasten(self, key: str, at: float) -> None:
        """Make the key due at this time, or leave it where it is due earlier."""
        if key not in self._due or at < self._due[key][0]:
            self.put(key, at)

    def discard(self, key: str) -> None:
        """Remove the key, if it is there."""
        self._due.pop(key, None)

    def hold(self, key: str) -> None:
        """Do not hand the key out until it is freed; it may become due meanwhile."""
        self._held.add(key)

    def free(self, key: str) -> None:
        """End the hold."""
        self._held.discard(key)
        if key in self._due:
            self._push(key)

    def clear(self) -> None:
        """Remove all keys; a hold stays."""
        self._due.clear()
        self._heap.clear()

    def take(self, now: float, limit: int) -> list[str]:
        """Remove and return up to `limit` keys that are due, the earliest first."""
        found: list[str] = []
        while len(found) < limit and self.next_at() <= now:
            key = heapq.heappop(self._heap)[2]
            del self._due[key]
            found.append(key)
        return found

    def next_at(self) -> float:
        """When the first key is due that is not held; infinity: none."""
        while self._heap:
            at, number, key = self._heap[0]
            if key not in self._held and self._due.get(key) == (at, number):
                return at
            heapq.heappop(self._heap)
        return math.inf

    def _push(self, key: str) -> None:
        if key in self._held:
            return  # `free` does it
        if len(self._heap) > 2 * len(self._due) + SPARE:
            self._heap = list(self._items())
            heapq.heapify(self._heap)
        else:
            heapq.heappush(self._heap, (*self._due[key], key))

    def _items(self) -> Iterator[tuple[float, int, str]]:
        return ((at, number, key) for key, (at, number) in self._due.items() if key not in self._held)
