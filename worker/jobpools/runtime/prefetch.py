"""Decide how many jobs a worker claims beyond its free slots: those that start within STARTS_WITHIN seconds."""

STARTS_WITHIN = 0.05
"""Seconds within which a prefetched job must be expected to start."""
PREFETCH_LIMIT = 800
"""Maximum jobs that are claimed beyond the free slots: they keep a worker busy for at least 5 ms.

In that time the worker or the server may wait for a core without stalling the other. With 400, a busy machine ran a
third fewer jobs per second.
"""
BATCH = 200
"""Jobs for which a round trip pays: larger batches save little and occupy the server longer."""
MEAN_WEIGHT = 0.05
"""The weight of one attempt in the mean duration: the latest 20 or so count."""


class Prefetch:
    """Predicts from recent attempts how many waiting jobs will find a slot soon."""

    __slots__ = ("mean", "occupied")

    def __init__(self) -> None:
        self.mean: float | None = None
        """Mean duration of the latest attempts in seconds; None: no attempt has ended yet."""
        self.occupied = 0
        """Number of slots whose attempt has been running for longer than STARTS_WITHIN: they are not free soon."""

    def observe(self, seconds: float) -> None:
        """Take the duration of an attempt into account."""
        mean = self.mean
        self.mean = seconds if mean is None else mean + MEAN_WEIGHT * (seconds - mean)

    def limit(self, slots: int) -> int:
        """Return how many jobs may wait for one of `slots` slots."""
        if self.mean is None:
            return 0
        quick = max(0, slots - self.occupied)
        return min(PREFETCH_LIMIT, int(quick * STARTS_WITHIN / max(self.mean, 1e-6)))

    def is_stocked(self, slots: int, waiting: int) -> bool:
        """Return whether the next claim can wait: fewer jobs than BATCH, and than half of the limit, are missing."""
        limit = self.limit(slots)
        return waiting > max(limit // 2, limit - BATCH)
