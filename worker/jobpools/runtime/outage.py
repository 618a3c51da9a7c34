"""Outages of Redis: told once when they begin and once when they are over, and how long to wait between tries."""

import logging
import threading
import time

from jobpools.core.backoff import Backoff
from jobpools.core.text.durations import format_duration
from jobpools.errors import StoreAuthError, StoreError, StoreUnavailableError

BACKOFF = Backoff(initial=0.1, maximum=5.0)
"""Delays between tries to reach Redis: a server that comes back must not be overrun by all workers at once."""
STABLE, LONGEST_STABLE = 1.0, 10.0
"""Seconds without a failure after which an outage counts as over; doubled for each relapse before that."""

log = logging.getLogger("jobpools.worker")


def away(error: StoreError) -> bool:
    """Whether the error concerns Redis as a whole; else it is one queue's own, as a key of another type is."""
    return isinstance(error, (StoreUnavailableError, StoreAuthError))


class Outage:
    """Shared by a worker's conversations with Redis; away while one of them fails, back when none does.

    A conversation tries again until its own command works and a write is accepted; then it calls `over`. That the
    outage is over is told by `look`, when no conversation has failed for some time: a server that accepts every other
    connection makes one outage and not ten a second. The lease thread is a conversation: hence the lock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failing: set[str] = set()
        self._since = 0.0
        self._told = False
        """The outage was told, and its end was not."""
        self._stable = STABLE
        self.ended = float("-inf")
        """When no conversation failed any more, by the monotonic clock."""

    @property
    def known(self) -> bool:
        """Redis is known to be away now."""
        return bool(self._failing)

    def failing(self, conversation: str) -> bool:
        """Whether this conversation waits for its command to work again."""
        return conversation in self._failing

    def known_beside(self, conversation: str) -> bool:
        """Whether another conversation knows that Redis is away."""
        return bool(self._failing - {conversation})

    def noticed(self, error: StoreError, conversation: str) -> None:
        """A command failed."""
        with self._lock:
            relapsed, first = self._told and not self._failing, not self._told
            self._failing.add(conversation)
            if relapsed:
                self._stable = min(self._stable * 2, LONGEST_STABLE)
            if first:
                self._told, self._since, self._stable = True, time.monotonic(), STABLE
        if first:
            log.warning("Redis is away: %s; jobs in hand go on and are settled when it is back", error)

    def over(self, conversation: str) -> None:
        """The conversation's command works again, and a write was accepted."""
        if not self._failing:
            return
        with self._lock:
            last = self._failing == {conversation}
            self._failing.discard(conversation)
            if last:
                self.ended = time.monotonic()

    def look(self, now: float) -> None:
        """Tell that the outage is over, once nothing has failed for long enough; `now` by the monotonic clock."""
        if not self._told:
            return
        with self._lock:
            over = self._told and not self._failing and now >= self.ended + self._stable
            if over:
                self._told = False
        if over:
            log.warning("Redis is back after %s", format_duration(self.ended - self._since))


class Tries:
    """Consecutive failed tries of one conversation with Redis."""

    __slots__ = ("_failures",)

    def __init__(self) -> None:
        self._failures = 0

    def failed(self, draw: float) -> float:
        """Count a failure; returns the seconds until the next try. `draw` is a random number from [0, 1)."""
        self._failures += 1
        return BACKOFF.delay(self._failures, draw)

    def succeeded(self) -> None:
        """Start again with the shortest delay."""
        self._failures = 0
