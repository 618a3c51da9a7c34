"""A budget of writes: so many a second for all objects together."""

from collections.abc import Callable

RATE = 20.0
"""Statuses and events a second."""
BURST = 30.0
"""Statuses and events at once."""


class TokenBucket:
    """Hands out tokens at RATE a second, at most BURST at once."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock`: monotonic seconds."""
        self._clock, self._tokens, self._at = clock, BURST, clock()

    def take(self) -> float:
        """Take a token; return the seconds until it may be used."""
        now = self._clock()
        self._tokens = min(BURST, self._tokens + (now - self._at) * RATE)
        self._at = now
        self._tokens -= 1
        return max(0.0, -self._tokens / RATE)
