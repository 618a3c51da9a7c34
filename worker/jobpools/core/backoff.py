"""Backoff: delays that grow after each failure, with jitter. Used for retries of jobs, connections and processes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Growing delays after consecutive failures."""

    initial: float
    """Seconds to wait after the first failure."""
    maximum: float
    """Maximum seconds to wait."""
    factor: float = 2.0
    """Factor by which the delay grows after each further failure."""
    jitter: float = 0.25
    """Part of a delay, from 0 to 1, that is subtracted at random, so that clients that failed together do not return
    together."""

    def delay(self, failures: int, draw: float) -> float:
        """Return the seconds to wait, at most `maximum`.

        Args:
            failures: Consecutive failures so far, at least 1.
            draw: A random number from [0, 1).
        """
        return self.full_delay(failures) * (1 - self.jitter * draw)

    def full_delay(self, failures: int) -> float:
        """Return the seconds to wait without jitter."""
        first = min(self.initial, self.maximum)
        if first <= 0:
            return 0.0
        try:
            return min(self.maximum, first * self.factor ** (failures - 1))
        except OverflowError:
            return self.maximum
