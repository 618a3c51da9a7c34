"""Every reason that users may match on is documented, and asserted by a test."""

import ast
from pathlib import Path

from hack import conditions_doc
from jobpools.core.pools.reasons import ConditionType, Reason

ROOT = Path(__file__).parents[2]
TESTS = [
    path
    for folder in ("core", "control", "local", "kube")
    for path in sorted((ROOT / "tests" / folder).rglob("test_*.py"))
]


def test_every_reason_is_asserted_by_a_test() -> None:
    asserted = {
        node.attr
        for path in TESTS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Reason"
    }
    assert [reason.name for reason in Reason if reason.name not in asserted] == []


def test_every_reason_and_condition_is_documented() -> None:
    assert conditions_doc.docstrings(Reason).keys() == {reason.name for reason in Reason}
    assert conditions_doc.docstrings(ConditionType).keys() == {kind.name for kind in ConditionType}


def test_the_page_is_generated_from_the_docstrings() -> None:
    page = (ROOT / "docs" / "conditions.md").read_text()
    assert page == conditions_doc.render(), "docs/conditions.md is outdated; run make generate"
