"""Every reason is documented, and asserted by a test."""

import ast
from enum import StrEnum
from pathlib import Path

import pytest

from hack import conditions_doc
from jobpools.core.jobs.reasons import SettlementReason
from jobpools.core.pools.reasons import ConditionType, Reason
from jobpools.core.reasons import SharedReason
from jobpools.core.schedules.reasons import MissedReason, Place, ScheduleReason

ROOT = Path(__file__).parents[2]
TESTS = [
    path
    for folder in ("core", "control", "local", "kube")
    for path in sorted((ROOT / "tests" / folder).rglob("test_*.py"))
]
REASONS: list[type[StrEnum]] = [Reason, ScheduleReason, MissedReason, SharedReason, SettlementReason]


def asserted(enum: type[StrEnum]) -> set[str]:
    """Return the names of the members that a test mentions as `<Enum>.<MEMBER>`."""
    return {
        node.attr
        for path in TESTS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == enum.__name__
    }


@pytest.mark.parametrize("enum", REASONS)
def test_every_reason_is_asserted_by_a_test(enum: type[StrEnum]) -> None:
    assert [each.name for each in enum if each.name not in asserted(enum)] == []


@pytest.mark.parametrize("enum", [*REASONS, ConditionType, Place])
def test_every_reason_and_condition_is_documented(enum: type[StrEnum]) -> None:
    assert conditions_doc.docstrings(enum).keys() == {each.name for each in enum}


def test_the_page_is_generated_from_the_docstrings() -> None:
    page = (ROOT / "docs" / "conditions.md").read_text()
    assert page == conditions_doc.render(), "docs/conditions.md is outdated; run make generate"
