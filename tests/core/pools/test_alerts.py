"""Each alert: when it fires, when it stops, and what is known of it after a restart."""

from typing import Any

import pytest

from jobpools.core.pools.alerts import alerts_before, firing_alerts
from jobpools.core.pools.memory import Memory
from jobpools.core.pools.rates import Rates
from jobpools.core.pools.reasons import Reason
from jobpools.core.pools.specs import Alerts
from tests.support.pools import pool_facts

QUIET = Alerts(queue_depth=0, failure_rate=0, latency=0, worker_crashes=0)


def firing(limit: dict[str, Any], rates: Rates, firing_before: frozenset[Reason] = frozenset(), **queue: Any) -> Any:
    alerts = firing_alerts(QUIET.model_copy(update=limit), pool_facts(**queue), rates, firing_before)
    return [alert.reason for alert in alerts]


DEPTH, LATENCY = {"queue_depth": 100}, {"latency": 60.0}
FAILURES, CRASHES = {"failure_rate": 0.2}, {"worker_crashes": 10}
DEAD = {"dead_letters": 10}


@pytest.mark.parametrize(
    ("reason", "limit", "rates", "queue", "fires"),
    [
        (Reason.QUEUE_DEPTH, DEPTH, Rates(), {"queued": 100}, False),
        (Reason.QUEUE_DEPTH, DEPTH, Rates(), {"queued": 101}, True),
        (Reason.QUEUE_DEPTH, DEPTH, Rates(), {"queued": 1, "due": 500, "scheduled": 500}, False),
        (Reason.LATENCY, LATENCY, Rates(), {"queued": 1, "oldest_seconds": 60.0}, False),
        (Reason.LATENCY, LATENCY, Rates(), {"queued": 1, "oldest_seconds": 61.0}, True),
        (Reason.LATENCY, LATENCY, Rates(), {}, False),
        (Reason.FAILURE_RATE, FAILURES, Rates(failure_rate=0.2, attempts=10), {}, False),
        (Reason.FAILURE_RATE, FAILURES, Rates(failure_rate=0.21, attempts=10), {}, True),
        (Reason.FAILURE_RATE, FAILURES, Rates(failure_rate=1.0, attempts=4), {}, False),
        (Reason.FAILURE_RATE, FAILURES, Rates(), {}, False),
        (Reason.WORKER_CRASHES, CRASHES, Rates(crashes=10), {}, False),
        (Reason.WORKER_CRASHES, CRASHES, Rates(crashes=11), {}, True),
        (Reason.WORKER_CRASHES, CRASHES, Rates(), {}, False),
        (Reason.DEAD_LETTERS, DEAD, Rates(), {"dead": 10}, False),
        (Reason.DEAD_LETTERS, DEAD, Rates(), {"dead": 11}, True),
    ],
)
def test_an_alert_fires_above_its_limit(
    reason: Reason,
    limit: dict[str, Any],
    rates: Rates,
    queue: dict[str, Any],
    fires: bool,  # noqa: FBT001
) -> None:
    assert firing(limit, rates, **queue) == ([reason] if fires else [])


@pytest.mark.parametrize(
    ("reason", "limit", "rates", "queue"),
    [
        (Reason.QUEUE_DEPTH, DEPTH, Rates(), {"queued": 91}),
        (Reason.LATENCY, LATENCY, Rates(), {"queued": 1, "oldest_seconds": 54.5}),
        (Reason.FAILURE_RATE, FAILURES, Rates(failure_rate=0.19, attempts=10), {}),
        (Reason.WORKER_CRASHES, CRASHES, Rates(crashes=10), {}),
        (Reason.DEAD_LETTERS, DEAD, Rates(), {"dead": 10}),
    ],
)
def test_a_firing_alert_stops_only_well_below_its_limit(
    reason: Reason, limit: dict[str, Any], rates: Rates, queue: dict[str, Any]
) -> None:
    assert firing(limit, rates, **queue) == []
    assert firing(limit, rates, frozenset({reason}), **queue) == [reason]


def test_a_limit_of_zero_switches_an_alert_off() -> None:
    worst = Rates(failure_rate=1.0, attempts=99, crashes=99)
    assert firing({}, worst, frozenset(Reason), queued=10_000, oldest_seconds=1e6, dead=1000) == []


def test_all_alerts_may_fire_together_each_with_its_message() -> None:
    limits = Alerts(queue_depth=1, failure_rate=0.1, latency=1, worker_crashes=1)
    rates = Rates(failure_rate=0.5, attempts=10, crashes=2)
    found = firing_alerts(limits, pool_facts(queued=5, oldest_seconds=90.0), rates, frozenset())
    assert list(map(str, found)) == [
        "QueueDepth: 5 jobs queued",
        "FailureRate: 50% of the attempts of the last 5m failed",
        "Latency: the oldest job has waited 90s",
        "WorkerCrashes: 2 attempts of the last 5m crashed",
    ]


@pytest.mark.parametrize(
    ("memory", "condition", "expected"),
    [
        (Memory(), {}, set()),
        (Memory(), {"status": "True", "reason": "Latency", "message": "QueueDepth: x; Latency: y"}, {Reason.LATENCY}),
        (Memory(), {"status": "False", "reason": "NoAlert"}, set()),
        (Memory(), {"status": "True", "reason": "OfAnotherVersion"}, set()),
        (Memory(firing=frozenset({Reason.QUEUE_DEPTH})), {"status": "True", "reason": "Latency"}, {Reason.QUEUE_DEPTH}),
    ],
)
def test_after_a_restart_the_first_alert_is_known_from_the_reason_of_the_condition(
    memory: Memory, condition: dict[str, str], expected: set[Reason]
) -> None:
    assert alerts_before(memory, {"conditions": [{"type": "Alerting", **condition}]}) == expected
