"""The limit of writes of statuses and events, for all objects together."""

from collections.abc import Callable

RATE = 20.0
"""Maximum writes per second on average."""
BURST = 30.0
"""Maximum writes at once after a quiet time."""


class TokenBucket:
    """A token bucket: RATE tokens per second, at most BURST at once. A write costs one token."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin with a full bucket. `clock`: monotonic seconds."""
        self._clock, self._tokens, self._refilled_at = clock, BURST, clock()

    def take(self) -> float:
        """Take a token; return the seconds until it may be used."""
        now = self._clock()
        self._tokens = min(BURST, self._tokens + (now - self._refilled_at) * RATE)
        self._refilled_at = now
        self._tokens -= 1
        return max(0.0, -self._tokens / RATE)
