"""Redis away and back: told once each, whoever notices first, and how long to wait between tries."""

import logging
import threading
import time

from jobpools.core.units import format_duration
from jobpools.errors import StoreAuthError, StoreError, StoreUnavailableError

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between tries: doubled each time, so that a server that comes back is not overrun."""

log = logging.getLogger("jobpools.worker")


def away(error: StoreError) -> bool:
    """Whether the error concerns Redis as a whole; else it is one queue's own, as a key of another type is."""
    return isinstance(error, (StoreUnavailableError, StoreAuthError))


class Outage:
    """Shared by a worker's conversations with Redis; away while one of them fails, back when none does.

    Each conversation goes on trying, so each says itself when it is over. The lease thread is one: hence the lock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failing: set[str] = set()
        self._since = 0.0
        self.ended = float("-inf")
        """When the latest outage was over, by the monotonic clock."""

    @property
    def known(self) -> bool:
        """Redis is known to be away now."""
        return bool(self._failing)

    def noticed(self, error: StoreError, conversation: str) -> None:
        """A command failed."""
        with self._lock:
            first = not self._failing
            self._failing.add(conversation)
            if first:
                self._since = time.monotonic()
        if first:
            log.warning("Redis is away: %s; jobs in hand go on and are settled when it is back", error)

    def over(self, conversation: str) -> None:
        """A command worked."""
        if not self._failing:
            return
        with self._lock:
            last = self._failing == {conversation}
            self._failing.discard(conversation)
            if last:
                self.ended = time.monotonic()
        if last:
            log.warning("Redis is back after %s", format_duration(time.monotonic() - self._since))


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
