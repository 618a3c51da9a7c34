"""Workers that are gone and that no pass has seen yet. Their leases can be released at once."""

from collections import deque

KEEP_SECONDS = 60.0
"""Seconds for which a worker is kept for the next pass of its pool: its leases have expired by then."""


class GoneWorkers:
    """Names of gone workers by pool key, each reported once."""

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = {}
        self._times: deque[tuple[float, str, str]] = deque()
        """(time, pool key, name) of the same workers, oldest first."""

    def add(self, key: str, name: str, now: float) -> None:
        """Note that a worker of the pool is gone. `now`: monotonic seconds."""
        self._names.setdefault(key, set()).add(name)
        self._times.append((now, key, name))
        self._expire(now)

    def take(self, key: str, now: float) -> tuple[str, ...]:
        """Remove and return the gone workers of the pool. `now`: monotonic seconds."""
        self._expire(now)
        return tuple(sorted(self._names.pop(key, ())))

    def forget(self, key: str) -> None:
        """Drop the workers of a pool that is gone itself."""
        self._names.pop(key, None)

    def _expire(self, now: float) -> None:
        """Drop old items, also those of pools without a pass."""
        while self._times and self._times[0][0] <= now - KEEP_SECONDS:
            _, key, name = self._times.popleft()
            names = self._names.get(key, set())
            names.discard(name)
            if not names:
                self._names.pop(key, None)
