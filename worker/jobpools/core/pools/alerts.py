"""Which alerts of a pool fire."""

from collections.abc import Mapping, Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

from jobpools.core.conditions import condition, status_word
from jobpools.core.pools.facts import PoolFacts
from jobpools.core.pools.memory import Memory
from jobpools.core.pools.rates import WINDOW, Rates
from jobpools.core.pools.reasons import ConditionType, Reason
from jobpools.core.pools.specs import Alerts
from jobpools.core.text.durations import format_duration
from jobpools.core.text.plurals import count_of

MIN_ATTEMPTS: Final = 5
"""Attempts within the window below which no failure rate is computed for the alert."""
CLEAR_RATIO: Final = 0.9
"""Share of its limit below which a firing alert stops, so that it does not flap around the limit."""


@dataclass(frozen=True, slots=True)
class Alert:
    """A figure that is above its limit in `spec.alerts`."""

    reason: Reason
    message: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


def firing_alerts(
    limits: Alerts, facts: PoolFacts, rates: Rates, firing_before: AbstractSet[Reason]
) -> tuple[Alert, ...]:
    """Return all alerts that fire. A limit of 0 switches an alert off.

    Args:
        limits: The pool's `spec.alerts`.
        facts: What is known of the pool. No alert fires while the queues are unknown.
        rates: Figures of the last minutes.
        firing_before: Alerts that fired in the last pass; these stop only below CLEAR_RATIO of their limit.
    """
    if facts.queues is None:
        return ()
    queues = tuple(facts.queues.values())
    depth = sum(queue.queued for queue in queues)
    dead = sum(queue.dead for queue in queues)
    oldest = max((queue.longest_wait for queue in queues), default=0.0)
    failed = (rates.failure_rate or 0.0) if (rates.attempts or 0) >= MIN_ATTEMPTS else 0.0
    crashes, window = rates.crashes or 0, format_duration(WINDOW)
    figures: tuple[tuple[Reason, float, float, str], ...] = (
        (Reason.QUEUE_DEPTH, depth, limits.queue_depth, f"{count_of(depth, 'job')} queued"),
        (Reason.FAILURE_RATE, failed, limits.failure_rate, f"{failed:.0%} of the attempts of the last {window} failed"),
        (Reason.LATENCY, oldest, limits.latency, f"the oldest job has waited {format_duration(oldest)}"),
        (
            Reason.WORKER_CRASHES,
            crashes,
            limits.worker_crashes,
            f"{count_of(crashes, 'attempt')} of the last {window} crashed",
        ),
        (Reason.DEAD_LETTERS, dead, limits.dead_letters, count_of(dead, "dead letter")),
    )
    return tuple(
        Alert(reason, message)
        for reason, figure, limit, message in figures
        if limit and figure > limit * (CLEAR_RATIO if reason in firing_before else 1)
    )


def alerts_before(memory: Memory, status: Mapping[str, Any] | None) -> frozenset[Reason]:
    """Return the alerts that fired in the last pass.

    After a restart only the reason of the condition Alerting is known: the first alert keeps firing down to CLEAR_RATIO
    of its limit, and any others fire again when they exceed their limits.
    """
    if memory.firing is not None:
        return memory.firing
    last = condition(status, ConditionType.ALERTING)
    if last.get("status") != status_word(True):
        return frozenset()
    return frozenset(reason for reason in Reason if reason.value == last.get("reason"))
