"""Rates of completed, failed and crashed attempts over the last minutes."""

from dataclasses import dataclass
from typing import Final

from jobpools.core.pools.facts import PoolFacts, QueueFacts
from jobpools.core.pools.memory import Sample

WINDOW: Final = 300.0
"""Seconds over which failures and crashes are counted."""
THROUGHPUT_WINDOW: Final = 60.0
"""Seconds over which `completedPerMinute` is measured."""
SAMPLE_INTERVAL: Final = 5.0
"""Minimum seconds between two samples that are kept."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Figures of the last minutes. None: unknown."""

    completed_per_minute: float | None = None
    failure_rate: float | None = None
    """Failed, timed-out and crashed attempts among all attempts of the window, from 0 to 1."""
    attempts: int | None = None
    """All attempts of the window."""
    crashes: int | None = None
    """Crashed attempts of the window."""


def add_sample(samples: tuple[Sample, ...], facts: PoolFacts, now: float) -> tuple[Sample, ...]:
    """Return the samples with the present totals: at most one per SAMPLE_INTERVAL, back to the window's start.

    Totals that became smaller mean that Redis was emptied or that a queue left the pool: older samples are dropped.
    """
    if facts.queues is None:
        return samples
    sample = _totals(tuple(facts.queues.values()), now)
    if samples and (samples[-1].at > now or _is_smaller(samples[-1], sample)):
        samples = ()
    if samples and now - samples[-1].at < SAMPLE_INTERVAL:
        return samples
    kept = [*samples, sample]
    while len(kept) > 1 and kept[1].at <= now - WINDOW:
        kept.pop(0)
    return tuple(kept)


def measure_rates(samples: tuple[Sample, ...], facts: PoolFacts, now: float) -> Rates:
    """Return the rates between the samples and the present totals."""
    if facts.queues is None or not samples or now <= samples[0].at:
        return Rates()
    latest, first = _totals(tuple(facts.queues.values()), now), samples[0]
    older = [sample for sample in samples if sample.at <= now - THROUGHPUT_WINDOW]
    start = older[-1] if older else first
    span = now - start.at
    completed, crashed = latest.completed - first.completed, latest.crashed - first.crashed
    unsuccessful = latest.failed - first.failed + crashed
    attempts = unsuccessful + completed
    per_minute = round((latest.completed - start.completed) * 60 / span, 1) if span >= SAMPLE_INTERVAL else None
    return Rates(
        completed_per_minute=per_minute,
        failure_rate=round(unsuccessful / attempts, 3) if attempts else None,
        attempts=attempts,
        crashes=crashed,
    )


def _totals(queues: tuple[QueueFacts, ...], now: float) -> Sample:
    return Sample(
        at=now,
        completed=sum(queue.completed_total for queue in queues),
        failed=sum(queue.failed_total for queue in queues),
        crashed=sum(queue.crashed_total for queue in queues),
    )


def _is_smaller(before: Sample, after: Sample) -> bool:
    return after.completed < before.completed or after.failed < before.failed or after.crashed < before.crashed
