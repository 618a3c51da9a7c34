"""Every reason is documented, and asserted by a test."""

import ast
import functools
from enum import StrEnum
from pathlib import Path

import pytest

from hack import conditions_doc
from jobpools.core.jobs.reasons import SettlementReason
from jobpools.core.pools.reasons import ConditionType, Reason
from jobpools.core.reasons import SharedReason
from jobpools.core.schedules.reasons import MissedReason, Place, ScheduleReason
from tests.architecture.parsed import nodes_of

ROOT = Path(__file__).parents[2]
TESTS = [
    path
    for folder in ("core", "control", "local", "kube")
    for path in sorted((ROOT / "tests" / folder).rglob("test_*.py"))
]
REASONS: list[type[StrEnum]] = [Reason, ScheduleReason, MissedReason, SharedReason, SettlementReason]


@functools.cache
def attributes() -> set[tuple[str, str]]:
    """Return each `<name>.<attribute>` in the tests, as a pair."""
    return {
        (node.value.id, node.attr)
        for path in TESTS
        for node in nodes_of(path)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }


@pytest.mark.parametrize("enum", REASONS)
def test_every_reason_is_asserted_by_a_test(enum: type[StrEnum]) -> None:
    assert [each.name for each in enum if (enum.__name__, each.name) not in attributes()] == []


@pytest.mark.parametrize("enum", [*REASONS, ConditionType, Place])
def test_every_reason_and_condition_is_documented(enum: type[StrEnum]) -> None:
    assert conditions_doc.docstrings(enum).keys() == {each.name for each in enum}


def test_the_page_is_generated_from_the_docstrings() -> None:
    page = (ROOT / "docs" / "conditions.md").read_text()
    assert page == conditions_doc.render(), "docs/conditions.md is outdated; run make generate"
