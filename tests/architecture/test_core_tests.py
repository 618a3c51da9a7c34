"""The tests of the core are pure, as the core is, and each has the name of its module."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = sorted((ROOT / "tests" / "core").rglob("test_*.py"))
ALLOWED = ("jobpools.core", "jobpools.errors", "tests.support.pools", "tests.support.schedules")
IMPURE = {"asyncio", "os", "pathlib", "random", "socket", "subprocess", "threading", "time", "redis", "unittest"}


def imported(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_test_of_the_core_is_pure(path: Path) -> None:
    names = imported(path)
    assert {name for name in names if name.partition(".")[0] in IMPURE} == set()
    own = {name for name in names if name.partition(".")[0] in ("jobpools", "jobpools_operator", "tests")}
    assert {name for name in own if not name.startswith(ALLOWED)} == set()
    assert "async def" not in path.read_text()


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_test_of_the_core_has_the_name_of_its_module(path: Path) -> None:
    folder = path.parent.relative_to(ROOT / "tests" / "core")
    assert (ROOT / "worker" / "jobpools" / "core" / folder / path.name.removeprefix("test_")).is_file()
