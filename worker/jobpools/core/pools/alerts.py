"""Rates over the last minutes, and which of a pool's alerts are firing."""

from dataclasses import dataclass
from typing import Final

from jobpools.core.decision import Decision
from jobpools.core.pools.facts import PoolFacts, QueueFacts, Sample
from jobpools.core.pools.specs import Alerts
from jobpools.core.text.durations import format_duration

WINDOW: Final = 300.0
"""Seconds over which failures and crashes are counted."""
RATE_WINDOW: Final = 60.0
"""Seconds over which `completedPerMinute` is measured."""
SAMPLE_EVERY: Final = 5.0
"""Seconds between two samples that are kept."""
LEAST_ATTEMPTS: Final = 5
"""Fewer attempts than this within the window make no failure rate to be alarmed about."""
CLEARS_AT: Final = 0.9
"""A firing alert ends below this share of its limit, so that it does not come and go."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What happened lately; None: not known yet."""

    completed_per_minute: float | None = None
    failure_rate: float | None = None
    """Failed, timed-out and crashed attempts among all of the window."""
    attempts: int | None = None
    crashes: int | None = None


def remember_totals(samples: tuple[Sample, ...], facts: PoolFacts, now: float) -> tuple[Sample, ...]:
    """The samples with this look in them: one every SAMPLE_EVERY seconds, back to the window's start.

    Totals that shrank mean that Redis was emptied or a queue left the pool: what was before counts no more.
    """
    if facts.queues is None:
        return samples
    sample = _sample(tuple(facts.queues.values()), now)
    if samples and (samples[-1].at > now or _shrank(samples[-1], sample)):
        samples = ()
    if samples and now - samples[-1].at < SAMPLE_EVERY:
        return samples
    kept = [*samples, sample]
    while len(kept) > 1 and kept[1].at <= now - WINDOW:
        kept.pop(0)
    return tuple(kept)


def rates(samples: tuple[Sample, ...], facts: PoolFacts, now: float) -> Rates:
    """The rates between the samples and this look."""
    if facts.queues is None or not samples or now <= samples[0].at:
        return Rates()
    latest, first = _sample(tuple(facts.queues.values()), now), samples[0]
    recent = [each for each in samples if each.at <= now - RATE_WINDOW]
    start = recent[-1] if recent else first
    span = now - start.at
    completed, crashed = latest.completed - first.completed, latest.crashed - first.crashed
    bad = latest.failed - first.failed + crashed
    return Rates(
        completed_per_minute=round((latest.completed - start.completed) * 60 / span, 1)
        if span >= SAMPLE_EVERY
        else None,
        failure_rate=round(bad / (bad + completed), 3) if bad + completed else None,
        attempts=bad + completed,
        crashes=crashed,
    )


def firing(alerts: Alerts, facts: PoolFacts, measured: Rates, before: frozenset[str]) -> tuple[Decision[bool], ...]:
    """Every alert that fires, with its figures; `before`: the reasons of those that fired at the last look."""
    if facts.queues is None:
        return ()
    queues = tuple(facts.queues.values())
    depth = sum(queue.queued for queue in queues)
    oldest = max((queue.oldest_seconds or 0.0 for queue in queues), default=0.0)
    rate = (measured.failure_rate or 0.0) if (measured.attempts or 0) >= LEAST_ATTEMPTS else 0.0
    crashes = measured.crashes or 0
    window = format_duration(WINDOW)
    found = (
        ("QueueDepth", depth, alerts.queue_depth, f"{depth} jobs are queued"),
        ("FailureRate", rate, alerts.failure_rate, f"{rate:.0%} of the attempts of the last {window} failed"),
        ("Latency", oldest, alerts.latency, f"the oldest job has waited {format_duration(oldest)}"),
        (
            "WorkerCrashes",
            crashes,
            alerts.worker_crashes,
            f"{crashes} attempts of the last {window} took their worker down",
        ),
    )
    return tuple(
        Decision(True, reason, message)
        for reason, value, limit, message in found
        if limit and value > limit * (CLEARS_AT if reason in before else 1)
    )


def _sample(queues: tuple[QueueFacts, ...], now: float) -> Sample:
    return Sample(
        at=now,
        completed=sum(queue.completed_total for queue in queues),
        failed=sum(queue.failed_total for queue in queues),
        crashed=sum(queue.crashed_total for queue in queues),
    )


def _shrank(before: Sample, after: Sample) -> bool:
    return after.completed < before.completed or after.failed < before.failed or after.crashed < before.crashed
