"""Histograms of durations whose buckets grow by a constant factor, so that they can be merged and stay small.

At scale s a power of two is divided into 2^s buckets. Bucket i ends at LOWEST * 2^(i / 2^s) seconds, which it includes;
bucket 0 also holds everything below. Halving the resolution joins buckets 2i - 1 and 2i, so histograms of different
scales can be merged exactly at the coarser one. `measure.lua` does the same on the server.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

LOWEST: Final = 2.0**-14
"""Upper bound of the first bucket, in seconds: 61 µs."""
OCTAVES: Final = 31
"""Powers of two from LOWEST to the last bound, 131072 seconds (36 hours)."""
SCALE: Final = 2
"""Scale at which workers count: four buckets in each power of two."""
BOUNDS: Final = tuple(LOWEST * 2 ** (i / 2**SCALE) for i in range(OCTAVES * 2**SCALE + 1))
"""Upper bounds of the buckets at SCALE, in seconds; one more bucket holds what is above the last."""


def no_counts() -> list[int]:
    """Return the counts of an empty histogram at SCALE; `bisect_left(BOUNDS, seconds)` is the index to increment."""
    return [0] * (len(BOUNDS) + 1)


def difference(counts: Sequence[int], before: Sequence[int]) -> dict[int, int]:
    """Return the buckets in which two counts of one histogram differ, and by how much."""
    return {i: now - then for i, (now, then) in enumerate(zip(counts, before, strict=True)) if now != then}


@dataclass(frozen=True, slots=True)
class Histogram:
    """Number of durations in each bucket."""

    scale: int = SCALE
    buckets: Mapping[int, int] = field(default_factory=dict[int, int])
    """Counts by index; a bucket that is not there is empty."""

    @property
    def count(self) -> int:
        """Number of durations."""
        return sum(self.buckets.values())

    @property
    def error(self) -> float:
        """Largest relative error of `quantile` for durations between the bounds: 0.09 at scale 2."""
        return float(2 ** (0.5 / 2**self.scale) - 1)

    def quantile(self, share: float) -> float | None:
        """Return the seconds that `share` of the durations do not exceed; None if there are no durations.

        It is the middle of the bucket, by ratio: wrong by at most `error`. Below LOWEST it is LOWEST.
        """
        rank, seen = share * self.count, 0
        for index in sorted(self.buckets):
            seen += self.buckets[index]
            if seen >= rank:
                return LOWEST if index == 0 else LOWEST * 2 ** ((index - 0.5) / 2**self.scale)
        return None

    def coarser(self, scale: int) -> "Histogram":
        """Return the same durations at this scale; at a higher one, they stay as they are."""
        buckets = self.buckets
        for _ in range(self.scale - scale):
            joined: dict[int, int] = {}
            for index, count in buckets.items():
                joined[(index + 1) // 2] = joined.get((index + 1) // 2, 0) + count
            buckets = joined
        return Histogram(min(scale, self.scale), buckets)


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """Return one histogram of all durations, at the lowest scale of those that are not empty."""
    found = [each for each in histograms if each.buckets]
    scale = min((each.scale for each in found), default=SCALE)
    total: dict[int, int] = {}
    for each in found:
        for index, count in each.coarser(scale).buckets.items():
            total[index] = total.get(index, 0) + count
    return Histogram(scale, total)
