"""Redis away and back: told once each, whoever notices first, and how long to wait between tries."""

import logging
import threading
import time

from jobpools.core.units import format_duration
from jobpools.errors import StoreError

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between tries: doubled each time, so that a server that comes back is not overrun."""

log = logging.getLogger("jobpools.worker")


class Outage:
    """Shared by all of a worker's conversations with Redis; also used by the lease thread, hence the lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: float | None = None

    @property
    def known(self) -> bool:
        """Redis is known to be away now."""
        return self._since is not None

    def noticed(self, error: StoreError) -> None:
        """A command failed."""
        with self._lock:
            first = self._since is None
            if first:
                self._since = time.monotonic()
        if first:
            log.warning("Redis is away: %s; jobs in hand go on and are settled when it is back", error)

    def over(self) -> None:
        """A command worked."""
        if self._since is None:
            return
        with self._lock:
            since, self._since = self._since, None
        if since is not None:
            log.warning("Redis is back after %s", format_duration(time.monotonic() - since))


class Pauses:
    """The growing pauses of one conversation."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = FIRST_PAUSE

    def next(self) -> float:
        """Seconds to wait before the next try."""
        pause, self._next = self._next, min(self._next * 2, LONGEST_PAUSE)
        return pause

    def reset(self) -> None:
        """It worked."""
        self._next = FIRST_PAUSE
