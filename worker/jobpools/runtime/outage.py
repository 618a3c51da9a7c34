"""Outages of Redis: logged once when they begin and once when they are over, and the backoff between tries."""

import logging
import threading
import time

from jobpools.core.backoff import Backoff
from jobpools.core.text.durations import format_duration
from jobpools.errors import StoreAuthError, StoreError, StoreUnavailableError

BACKOFF = Backoff(initial=0.1, maximum=5.0)
"""Delays between tries to reach Redis: all workers together must not overload a server that comes back."""
STABLE_AFTER, MAX_STABLE_AFTER = 1.0, 10.0
"""Seconds without a failure after which an outage is over; doubled for each relapse before that."""

log = logging.getLogger("jobpools.worker")


def concerns_server(error: StoreError) -> bool:
    """Return whether the error concerns the server, not one queue only (such as a key of another type)."""
    return isinstance(error, (StoreUnavailableError, StoreAuthError))


class Outage:
    """The parts of a worker whose calls to Redis fail; an outage lasts while there is such a part.

    A part is named by a string: the steps, the lease renewal, the rescue loop and the listeners each have their own
    connection or pace. It tries again until its own command works and a write is accepted; then it calls `recovered`.
    `log_end` logs the end when no part has failed for some time: a server that accepts every other connection causes
    one outage and not ten a second. The lease thread is a part too, which is why there is a lock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failing: set[str] = set()
        self._since = 0.0
        self._is_logged = False
        """Whether the start of the outage was logged, and its end was not."""
        self._stable_after = STABLE_AFTER
        self.ended = float("-inf")
        """When the last part recovered, by the monotonic clock."""

    @property
    def is_ongoing(self) -> bool:
        """Whether any part fails now."""
        return bool(self._failing)

    def is_failing(self, part: str) -> bool:
        """Return whether this part fails now."""
        return part in self._failing

    def is_failing_elsewhere(self, part: str) -> bool:
        """Return whether another part fails now."""
        return bool(self._failing - {part})

    def failed(self, error: StoreError, part: str) -> None:
        """Record that a command failed because of the server."""
        with self._lock:
            relapsed, first = self._is_logged and not self._failing, not self._is_logged
            self._failing.add(part)
            if relapsed:
                self._stable_after = min(self._stable_after * 2, MAX_STABLE_AFTER)
            if first:
                self._is_logged, self._since, self._stable_after = True, time.monotonic(), STABLE_AFTER
        if first:
            log.warning("Redis is unreachable: %s; running jobs continue and are settled when it is back", error)

    def recovered(self, part: str) -> None:
        """Record that the part's command works again, and that a write was accepted."""
        if not self._failing:
            return
        with self._lock:
            last = self._failing == {part}
            self._failing.discard(part)
            if last:
                self.ended = time.monotonic()

    def log_end(self, now: float) -> None:
        """Log that the outage is over, once nothing has failed for long enough; `now` is the monotonic time."""
        if not self._is_logged:
            return
        with self._lock:
            is_over = self._is_logged and not self._failing and now >= self.ended + self._stable_after
            if is_over:
                self._is_logged = False
        if is_over:
            log.warning("Redis is back after %s", format_duration(self.ended - self._since))


class Tries:
    """Consecutive failed tries of one part to reach Redis."""

    __slots__ = ("_failures",)

    def __init__(self) -> None:
        self._failures = 0

    def failed(self, draw: float) -> float:
        """Count a failure; return the seconds until the next try. `draw` is a random number from [0, 1)."""
        self._failures += 1
        return BACKOFF.delay(self._failures, draw)

    def succeeded(self) -> None:
        """Start again with the shortest delay."""
        self._failures = 0
