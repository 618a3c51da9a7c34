"""What the code imports is declared in pyproject.toml, extra by extra, and what is declared is used."""

import ast
import functools
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.architecture.parsed import nodes_of

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS = {"jobpools", "jobpools_operator", "tests", "shop", "hack"}
DISTRIBUTIONS = packages_distributions()

NOT_IMPORTED = {
    "hiredis": "redis-py uses it when it is installed",
    "tzdata": "zoneinfo reads it where the system has no time zones",
    "pywavelets": "ships photographs that the shop reads as files",
    "import-linter": "a program",
    "mypy": "a program",
    "pyright": "a program",
    "pytest-asyncio": "a plugin of pytest",
    "pytest-timeout": "a plugin of pytest",
    "ruff": "a program",
    "types-croniter": "stubs for mypy",
    "types-pyyaml": "stubs for mypy",
}
"""Declared distributions that no module imports, and why they are needed."""

SOURCES = {
    "worker/jobpools": (),
    "worker/jobpools/local": ("local", "plot"),
    "operator/jobpools_operator": ("operator",),
    "examples": ("demo",),
    "tests": ("operator", "local", "plot", "demo", "dev"),
    "hack": ("dev",),
}
"""By folder: the extras that its modules may import, besides the dependencies themselves."""


def normalized(name: str) -> str:
    """Return the form in which distribution names are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(*extras: str) -> set[str]:
    requirements = [*PROJECT["dependencies"], *(each for extra in extras for each in extra_of(extra))]
    return {normalized(re.split(r"[^\w.-]", each, maxsplit=1)[0]) for each in requirements}


def extra_of(name: str) -> list[str]:
    return list(PROJECT["optional-dependencies"][name])


def modules(folder: str) -> Iterator[Path]:
    """Yield the modules of this folder, without those of folders below it that are listed themselves."""
    others = [other for other in SOURCES if other.startswith(f"{folder}/")]
    for path in sorted((ROOT / folder).rglob("*.py")):
        if not any(path.is_relative_to(ROOT / other) for other in others):
            yield path


@functools.cache
def imported(path: Path) -> tuple[tuple[int, str], ...]:
    """Return line and top-level name of each foreign import, inside functions and by `import_module` too."""
    return tuple(_imported(path))


def _imported(path: Path) -> Iterator[tuple[int, str]]:
    for node in nodes_of(path):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
            first = node.args[0]
            names = [first.value] if isinstance(first, ast.Constant) and isinstance(first.value, str) else []
        for name in names:
            top = name.partition(".")[0]
            if top and top not in sys.stdlib_module_names and top not in OURS:
                yield getattr(node, "lineno", 0), top


def distributions(module: str) -> set[str]:
    return {normalized(each) for each in DISTRIBUTIONS.get(module, [])}


@pytest.mark.parametrize("folder", SOURCES)
def test_what_is_imported_is_declared(folder: str) -> None:
    allowed = declared(*SOURCES[folder])
    missing = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in modules(folder)
        for line, name in imported(path)
        if not (path.parent / f"{name}.py").exists() and not distributions(name) & allowed
    ]
    assert missing == []


def test_what_is_declared_is_used() -> None:
    used = {
        distribution
        for folder in SOURCES
        for path in modules(folder)
        for _, name in imported(path)
        for distribution in distributions(name)
    }
    unused = declared(*PROJECT["optional-dependencies"]) - used - set(NOT_IMPORTED)
    assert unused == set()
    assert not set(NOT_IMPORTED) - declared(*PROJECT["optional-dependencies"]), (
        "they are no longer declared; remove them here"
    )
