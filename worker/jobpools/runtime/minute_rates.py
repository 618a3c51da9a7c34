"""How many attempts a worker ends in a minute."""

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
    """The rates of the last minute, from the totals at its begin; of a younger worker, since its start."""

    def __init__(self, now: float) -> None:
        """Begin with totals of 0. All times are monotonic."""
        self._samples = deque([(now, 0, 0)])
        """Time, completed and failed attempts: the oldest sample, of a minute ago, first."""

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
