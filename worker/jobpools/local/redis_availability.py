"""Tells the user once when Redis becomes unreachable, and once when it answers again."""

from collections.abc import Callable

from jobpools.errors import StoreError


class RedisAvailability:
    """The availability of Redis, as of the last read."""

    def __init__(self, notify: Callable[[str], None]) -> None:
        """Take Redis for available; `notify` receives messages for the user."""
        self._notify = notify
        self._is_available = True

    def failed(self, error: StoreError) -> None:
        """Record that Redis could not be read."""
        if self._is_available:
            self._notify(f"Redis is unavailable: {error}; pools keep their size until it answers")
        self._is_available = False

    def succeeded(self) -> None:
        """Record that Redis was read."""
        if not self._is_available:
            self._notify("Redis is available again")
        self._is_available = True
