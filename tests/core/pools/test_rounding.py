"""Rounded figures of a status, and which changes are written."""

import pytest

from jobpools.core.pools.rounding import round_down, round_status


@pytest.mark.parametrize(
    ("count", "step"), [(0, 0), (0.4, 0), (1, 1), (3, 2), (9, 5), (10, 10), (49, 20), (999, 500), (1000, 1000)]
)
def test_figures_are_rounded_down_to_steps(count: float, step: int) -> None:
    assert round_down(count) == step


def test_a_rounded_status_changes_only_when_a_figure_reaches_another_step() -> None:
    known = {"queued": 11, "busy": 3, "conditions": [{"type": "Ready", "status": "True", "reason": "Idle"}]}
    assert round_status(known) == round_status(known | {"queued": 19})
    assert round_status(known) != round_status(known | {"queued": 20})
    assert round_status(known) != round_status(known | {"busy": 4})
