"""What sizing remembers: numbers of workers that were needed, and numbers that were asked for."""

import pytest

from jobpools.core.pools.scaling_history import ScalingHistory, add_need, add_replicas, needs_within, replicas_at
from jobpools.core.pools.specs import Behavior
from tests.support.pools import NOW

BEHAVIOR = Behavior.model_validate(
    {"scaleUp": {"policies": [{"type": "Workers", "value": 1, "period": "30s"}]}, "scaleDown": {"stabilization": "60s"}}
)


@pytest.mark.parametrize(
    ("name", "history", "expected"),
    [
        ("after a restart the current number counts", (), ((NOW, 2), (NOW, 5))),
        ("an older number is kept", ((NOW - 9, 3),), ((NOW - 9, 3), (NOW, 5))),
        ("a number has its latest time", ((NOW - 9, 5),), ((NOW, 5),)),
        ("a number outside the window is dropped", ((NOW - 60, 3),), ((NOW, 5),)),
        ("a future time becomes the present", ((NOW + 99, 3),), ((NOW, 3), (NOW, 5))),
    ],
)
def test_the_history_with_the_present_need(name: str, history: ScalingHistory, expected: ScalingHistory) -> None:
    assert add_need(history, need=5, current=2, behavior=BEHAVIOR, now=NOW) == expected, name


@pytest.mark.parametrize(
    ("name", "history", "expected"),
    [
        ("the first size", (), ((NOW, 4),)),
        ("the same size", ((NOW - 9, 4),), ((NOW - 9, 4),)),
        ("another size", ((NOW - 9, 3),), ((NOW - 9, 3), (NOW, 4))),
        ("the size at the start of the period is kept", ((NOW - 99, 1), (NOW - 31, 2), (NOW - 9, 3)),
         ((NOW - 31, 2), (NOW - 9, 3), (NOW, 4))),
    ],
)  # fmt: skip
def test_the_history_of_sizes_reaches_back_one_period(
    name: str, history: ScalingHistory, expected: ScalingHistory
) -> None:
    assert add_replicas(history, 4, BEHAVIOR, NOW) == expected, name


def test_needs_and_sizes_are_found_by_time() -> None:
    history = ((NOW - 60, 1), (NOW - 30, 2), (NOW, 3))
    assert needs_within(history, 60, NOW) == [2, 3]
    assert [replicas_at(history, NOW - age) for age in (99, 60, 31, 30, 0)] == [1, 1, 1, 2, 3]
