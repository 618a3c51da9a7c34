"""Each rule of sizing: the number and the reason that it returns."""

from typing import Any

import pytest

from jobpools.core.pools import scaling_rules as rules
from jobpools.core.pools.facts import QueueFacts
from jobpools.core.pools.reasons import Reason
from jobpools.core.pools.scaling_rules import Rule, Size, SizingInput
from tests.support.pools import EMPTY, NOW, pool_spec, queue_facts

BEFORE = Reason.DEMAND
"""The reason of the rule before, which a rule keeps if it does not change the number."""


def sizing_input(scaling: dict[str, Any], queue: QueueFacts = EMPTY, **fields: Any) -> SizingInput:
    known: dict[str, Any] = {"current": 0, "busy": 0, "active_at": NOW, "needed": (), "replicas": (), "now": NOW}
    return SizingInput(spec=pool_spec(scaling=scaling), queues=(queue,), **known | fields)


def apply(rule: Rule, pool: SizingInput, workers: int) -> tuple[int, Reason]:
    size = rule(pool, Size(workers, BEFORE, "before"))
    assert (size.message == "before") == (size.reason is BEFORE), "a rule that changes the number explains it"
    return size.workers, size.reason


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({}, (0, Reason.IDLE)),
        ({"scheduled": 99, "dead": 99}, (0, Reason.IDLE)),
        ({"queued": 1}, (1, Reason.DEMAND)),
        ({"queued": 4, "due": 3, "in_flight": 3}, (1, Reason.DEMAND)),
        ({"queued": 4, "due": 3, "in_flight": 4}, (2, Reason.DEMAND)),
    ],
)
def test_demand_counts_queued_due_and_running_jobs(figures: dict[str, int], expected: tuple[int, Reason]) -> None:
    size = rules.demand(sizing_input({"jobsPerWorker": 10}, queue_facts(**figures)))
    assert (size.workers, size.reason) == expected


def test_the_message_of_demand_has_its_figures() -> None:
    size = rules.demand(sizing_input({"jobsPerWorker": 2}, queue_facts(queued=5)))
    assert size.message == "5 jobs are queued, due or running and need 3 workers (jobsPerWorker is 2)"
    size = rules.demand(sizing_input({"jobsPerWorker": 2}, queue_facts(queued=1)))
    assert size.message == "1 job is queued, due or running and needs 1 worker (jobsPerWorker is 2)"


@pytest.mark.parametrize(
    ("oldest", "expected"),
    [(None, (3, BEFORE)), (30.0, (3, BEFORE)), (30.1, (4, Reason.TARGET_WAIT)), (900.0, (4, Reason.TARGET_WAIT))],
)
def test_target_wait_adds_one_worker(oldest: float | None, expected: tuple[int, Reason]) -> None:
    pool = sizing_input({"targetWait": "30s"}, queue_facts(queued=1, oldest_seconds=oldest))
    assert apply(rules.target_wait, pool, 3) == expected


@pytest.mark.parametrize(
    ("name", "current", "wanted", "needed", "expected"),
    [
        ("nothing changes", 3, 3, ((NOW - 9, 3),), (3, BEFORE)),
        ("a lower need is new", 5, 2, ((NOW - 9, 5),), (5, Reason.STABILIZED)),
        ("a lower need has lasted", 5, 2, ((NOW - 61, 5),), (2, BEFORE)),
        ("the highest need of the window counts", 5, 2, ((NOW - 50, 3), (NOW - 9, 2)), (3, Reason.STABILIZED)),
        ("a higher need is new", 1, 4, ((NOW - 9, 1),), (1, Reason.STABILIZED)),
        ("a higher need has lasted", 1, 4, ((NOW - 31, 1),), (4, BEFORE)),
        ("the lowest need of the window counts", 1, 4, ((NOW - 9, 2),), (2, Reason.STABILIZED)),
        ("from zero at once", 0, 4, ((NOW - 9, 0),), (4, BEFORE)),
    ],
)
def test_stabilization(
    name: str, current: int, wanted: int, needed: tuple[tuple[float, int], ...], expected: tuple[int, Reason]
) -> None:
    windows = {"scaleUp": {"stabilization": "30s"}, "scaleDown": {"stabilization": "60s"}}
    pool = sizing_input({"behavior": windows}, current=current, needed=needed)
    assert apply(rules.stabilization, pool, wanted) == expected, name


UP, DOWN = Reason.SCALE_UP_LIMIT, Reason.SCALE_DOWN_LIMIT
TWO_WORKERS = {"type": "Workers", "value": 2}
HALF = {"type": "Percent", "value": 50}


@pytest.mark.parametrize(
    ("name", "policies", "replicas", "wanted", "expected"),
    [
        ("no policy", (), ((NOW - 99, 2),), 10, (10, BEFORE)),
        ("workers", (TWO_WORKERS,), ((NOW - 99, 2),), 10, (4, UP)),
        ("percent is rounded up", (HALF,), ((NOW - 99, 3),), 10, (5, UP)),
        ("the most generous policy counts", (TWO_WORKERS, HALF), ((NOW - 99, 10),), 30, (15, UP)),
        ("the period is used up", (TWO_WORKERS,), ((NOW - 99, 2), (NOW - 5, 4)), 10, (4, UP)),
        ("the period has passed", (TWO_WORKERS,), ((NOW - 99, 2), (NOW - 15, 4)), 10, (6, UP)),
        ("within the limit", (TWO_WORKERS,), ((NOW - 99, 2),), 4, (4, BEFORE)),
        ("from zero at once", (TWO_WORKERS,), ((NOW - 99, 0),), 10, (10, BEFORE)),
        ("scaling down is another direction", (TWO_WORKERS,), ((NOW - 99, 9),), 1, (1, BEFORE)),
    ],
)
def test_policies_of_scaling_up(
    name: str, policies: Any, replicas: tuple[tuple[float, int], ...], wanted: int, expected: tuple[int, Reason]
) -> None:
    scaling = {"max": 50, "behavior": {"scaleUp": {"policies": policies}}}
    pool = sizing_input(scaling, current=replicas[-1][1], replicas=replicas)
    assert apply(rules.policies, pool, wanted) == expected, name


@pytest.mark.parametrize(
    ("name", "policies", "replicas", "wanted", "expected"),
    [
        ("no policy", (), ((NOW - 99, 9),), 0, (0, BEFORE)),
        ("workers", (TWO_WORKERS,), ((NOW - 99, 9),), 0, (7, DOWN)),
        ("percent is rounded down", (HALF,), ((NOW - 99, 5),), 0, (2, DOWN)),
        ("the most generous policy counts", (TWO_WORKERS, HALF), ((NOW - 99, 10),), 0, (5, DOWN)),
        ("the period is used up", (TWO_WORKERS,), ((NOW - 99, 9), (NOW - 5, 7)), 0, (7, DOWN)),
        ("never below zero", (TWO_WORKERS,), ((NOW - 99, 1),), 0, (0, BEFORE)),
    ],
)
def test_policies_of_scaling_down(
    name: str, policies: Any, replicas: tuple[tuple[float, int], ...], wanted: int, expected: tuple[int, Reason]
) -> None:
    scaling = {"behavior": {"scaleDown": {"policies": policies}}}
    pool = sizing_input(scaling, current=replicas[-1][1], replicas=replicas)
    assert apply(rules.policies, pool, wanted) == expected, name


@pytest.mark.parametrize(
    ("name", "empty_for", "queued", "wanted", "expected"),
    [
        ("empty for too short a time", 59, 0, 0, (3, Reason.IDLE_WAIT)),
        ("empty for long enough", 60, 0, 0, (0, BEFORE)),
        ("not empty", 0, 1, 1, (1, BEFORE)),
        ("more workers are needed", 1, 0, 4, (4, BEFORE)),
    ],
)
def test_idle_wait(name: str, empty_for: float, queued: int, wanted: int, expected: tuple[int, Reason]) -> None:
    pool = sizing_input({"idle": "60s"}, queue_facts(queued=queued), current=3, active_at=NOW - empty_for)
    assert apply(rules.idle_wait, pool, wanted) == expected, name


ALWAYS = {"cron": "* * * * *", "duration": "5m"}
NEW_YEAR = {"cron": "0 0 1 1 *", "duration": "1m"}


@pytest.mark.parametrize(
    ("name", "schedules", "wanted", "expected"),
    [
        ("below min", (), 1, (2, Reason.TOO_FEW_REPLICAS)),
        ("at min", (), 2, (2, BEFORE)),
        ("an active schedule", ({**ALWAYS, "min": 4},), 1, (4, Reason.SCHEDULE)),
        ("the highest of two", ({**ALWAYS, "min": 4}, {**ALWAYS, "min": 6}), 1, (6, Reason.SCHEDULE)),
        ("at most max", ({**ALWAYS, "min": 50},), 1, (10, Reason.SCHEDULE)),
        ("another time", ({**NEW_YEAR, "min": 4},), 1, (2, Reason.TOO_FEW_REPLICAS)),
        ("below min of scaling", ({**ALWAYS, "min": 1},), 1, (2, Reason.TOO_FEW_REPLICAS)),
        ("an invalid one is ignored", ({**ALWAYS, "cron": "at noon", "min": 4},), 1, (2, Reason.TOO_FEW_REPLICAS)),
    ],
)
def test_the_minimum(name: str, schedules: Any, wanted: int, expected: tuple[int, Reason]) -> None:
    pool = sizing_input({"min": 2, "max": 10, "schedules": schedules})
    assert apply(rules.at_least_min, pool, wanted) == expected, name


@pytest.mark.parametrize(("wanted", "expected"), [(10, (10, BEFORE)), (11, (10, Reason.TOO_MANY_REPLICAS))])
def test_the_maximum(wanted: int, expected: tuple[int, Reason]) -> None:
    assert apply(rules.at_most_max, sizing_input({"max": 10}), wanted) == expected


@pytest.mark.parametrize(
    ("busy", "current", "wanted", "expected"),
    [
        (3, 5, 1, (3, Reason.BUSY_WORKERS)),
        (3, 5, 3, (3, BEFORE)),
        (3, 2, 1, (2, Reason.BUSY_WORKERS)),
        (0, 5, 0, (0, BEFORE)),
    ],
)
def test_busy_workers_are_kept(busy: int, current: int, wanted: int, expected: tuple[int, Reason]) -> None:
    assert apply(rules.keep_busy_workers, sizing_input({}, busy=busy, current=current), wanted) == expected


def test_limits_of_scaling_mark_the_size_as_limited() -> None:
    """The mark makes the condition ScalingLimited true."""
    limited = {
        rules.at_least_min(sizing_input({"min": 2}), Size(1, BEFORE, "")).reason,
        rules.at_most_max(sizing_input({"max": 1}), Size(2, BEFORE, "")).reason,
    }
    assert limited == {Reason.TOO_FEW_REPLICAS, Reason.TOO_MANY_REPLICAS}
    assert rules.at_least_min(sizing_input({"min": 2}), Size(1, BEFORE, "")).is_limited
    assert rules.at_most_max(sizing_input({"max": 1}), Size(2, BEFORE, "")).is_limited
    active = sizing_input({"schedules": [{**ALWAYS, "min": 2}]})
    assert not rules.at_least_min(active, Size(1, BEFORE, "")).is_limited
