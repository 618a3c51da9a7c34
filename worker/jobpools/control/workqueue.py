"""A work queue: keys, and the time when each is due. An operation takes logarithmic time."""

import asyncio
import contextlib
import heapq
import itertools
import math
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

SPARE_ITEMS = 64
"""Maximum number of outdated heap items, in addition to one for each key, before the heap is rebuilt."""
MAX_WAIT = 3600.0
"""Maximum seconds of one wait for a key to become due."""


class Workqueue(Generic[K]):
    """A work queue without a clock. Keys that are due at the same time are taken in the order of insertion."""

    def __init__(self) -> None:
        self._due: dict[K, tuple[float, int]] = {}
        """By key: when it is due, and its number in the order of insertion."""
        self._held: set[K] = set()
        """Keys that must not be taken now."""
        self._heap: list[tuple[float, int, K]] = []
        """(due time, number, key); an item that differs from `_due` is outdated, and skipped."""
        self._numbers = itertools.count()

    def __contains__(self, key: K) -> bool:
        return key in self._due

    def __len__(self) -> int:
        return len(self._due)

    def put(self, key: K, at: float) -> None:
        """Set when the key is due, instead of any time set before."""
        number = self._due[key][1] if key in self._due else next(self._numbers)
        if self._due.get(key) != (at, number):
            self._due[key] = (at, number)
            self._push(key)

    def hasten(self, key: K, at: float) -> None:
        """Make the key due at this time unless it is due earlier."""
        if key not in self._due or at < self._due[key][0]:
            self.put(key, at)

    def discard(self, key: K) -> None:
        """Remove the key if it is present."""
        self._due.pop(key, None)

    def hold(self, key: K) -> None:
        """Keep the key from being taken until `free`. It may become due meanwhile."""
        self._held.add(key)

    def free(self, key: K) -> None:
        """End the hold."""
        self._held.discard(key)
        if key in self._due:
            self._push(key)

    def clear(self) -> None:
        """Remove all keys; holds stay."""
        self._due.clear()
        self._heap.clear()

    def take(self, now: float, limit: int) -> list[K]:
        """Remove and return up to `limit` keys that are due, the earliest first."""
        keys: list[K] = []
        while len(keys) < limit and self.next_at() <= now:
            key = heapq.heappop(self._heap)[2]
            del self._due[key]
            keys.append(key)
        return keys

    def next_at(self) -> float:
        """Return when the first key that is not held is due; infinity when there is none."""
        while self._heap:
            at, number, key = self._heap[0]
            if key not in self._held and self._due.get(key) == (at, number):
                return at
            heapq.heappop(self._heap)
        return math.inf

    def _push(self, key: K) -> None:
        if key in self._held:
            return  # `free` pushes it
        if len(self._heap) > 2 * len(self._due) + SPARE_ITEMS:
            self._heap = list(self._items())
            heapq.heapify(self._heap)
        else:
            heapq.heappush(self._heap, (*self._due[key], key))

    def _items(self) -> Iterator[tuple[float, int, K]]:
        return ((at, number, key) for key, (at, number) in self._due.items() if key not in self._held)


class DelayQueue(Workqueue[K]):
    """A work queue with a clock, whose only reader waits until a key is due."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin with an empty queue. `clock`: monotonic seconds."""
        super().__init__()
        self._clock = clock
        self._changed = asyncio.Event()

    async def next_due(self, limit: int) -> list[K]:
        """Wait until a key is due; remove and return up to `limit` keys that are due, the earliest first."""
        while not (keys := self.take(self._clock(), limit)):
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(MAX_WAIT, self.next_at() - self._clock())):
                    await self._changed.wait()
        return keys

    def _push(self, key: K) -> None:
        super()._push(key)
        self._changed.set()
