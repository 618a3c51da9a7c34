"""Conditions in the form that Kubernetes uses, made from decisions."""

import pytest

from jobpools.core.conditions import condition, conditions, status_word
from jobpools.core.decision import Decision
from jobpools.core.text.timestamps import timestamp

NOW = 1_000_000.0


def test_the_transition_time_changes_only_with_the_status() -> None:
    first = {"conditions": conditions({"Ready": Decision(True, "Idle", "no job")}, None, 1, NOW)}
    same = {"conditions": conditions({"Ready": Decision(True, "Working", "2 jobs")}, first, 2, NOW + 60)}
    other = {"conditions": conditions({"Ready": Decision(False, "Paused", "paused")}, same, 3, NOW + 120)}
    times = [condition(status, "Ready")["lastTransitionTime"] for status in (first, same, other)]
    assert times == [timestamp(NOW), timestamp(NOW), timestamp(NOW + 120)]
    assert condition(other, "Ready")["observedGeneration"] == 3


def test_an_unknown_condition_is_empty() -> None:
    assert condition(None, "Ready") == condition({"conditions": []}, "Ready") == {}


@pytest.mark.parametrize(("value", "word"), [(True, "True"), (False, "False"), (None, "Unknown")])
def test_the_status_of_a_decision(value: bool | None, word: str) -> None:  # noqa: FBT001
    assert status_word(value) == word
