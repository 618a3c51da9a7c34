"""The numbers of attempts that a worker ends per minute."""

from collections import deque
from typing import NamedTuple

WINDOW = 60.0
"""Seconds over which the rates are averaged."""
MIN_SPAN = 5.0
"""Seconds after which the rates of a new worker are known."""
SAMPLE_INTERVAL = 1.0
"""Minimum seconds between two samples, which limits their number to about 60."""


class Rates(NamedTuple):
    """Ended attempts per minute; None: unknown."""

    completed: float | None = None
    failed: float | None = None


class MinuteRates:
    """The rates of the last minute, or since the start of a worker that is younger than a minute."""

    def __init__(self, now: float) -> None:
        """Begin with totals of 0. All times are monotonic."""
        self._samples = deque([(now, 0, 0)])
        """Time, completed and failed attempts, oldest first; the first sample is a minute old."""

    def measure(self, now: float, completed: int, failed: int) -> Rates:
        """Return the rates up to these totals."""
        samples = self._samples
        while len(samples) > 1 and samples[1][0] <= now - WINDOW:
            samples.popleft()
        began, completed_then, failed_then = samples[0]
        if now - samples[-1][0] >= SAMPLE_INTERVAL:
            samples.append((now, completed, failed))
        if now - began < MIN_SPAN:
            return Rates()
        factor = 60 / (now - began)
        return Rates(round((completed - completed_then) * factor, 1), round((failed - failed_then) * factor, 1))
