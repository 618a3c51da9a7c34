"""Rules for every file: no path of a machine, package index or pickle; a docstring, and reasons for exemptions."""

import ast
import functools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.parsed import nodes_of, tree_of

ROOT = Path(__file__).parents[2]
THIS = Path(__file__).relative_to(ROOT)

HOME = re.compile(r"(?:^|[\s=(:,]|[\s=(\[,][\"'])(/(?:root|home|Users|workspaces?|work)/[\w.-]+)")
INDEX = re.compile(
    r"https?://(?:[\w.-]+\.)?(?:pypi|pythonhosted|proxy|registry|index|mirrors?|artifact\w*|nexus)[\w.-]*|https?://\S*/simple\b"
)
INDEX_SETTING = re.compile(
    r"(?:index[-_]url|find[-_]links|trusted[-_]host|GOPROXY|GONOSUMDB|registry[-_]mirrors?)\s*[=:]\s*['\"]?\w+[.:/]",
    re.IGNORECASE,
)
SKIPS = {"skip", "skipif", "xfail"}
UNSAFE = {"pickle", "cloudpickle", "dill", "marshal", "shelve"}


def tracked(*suffixes: str) -> list[Path]:
    """Return the paths of the repository's files with one of these endings."""
    run = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [
        Path(name) for name in run.stdout.split("\0") if name and name.endswith(suffixes) and (ROOT / name).is_file()
    ]


@functools.cache
def text_of(path: Path) -> str:
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()[:100]}"
        for path in tracked("")
        if path != THIS
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_a_home_folder() -> None:
    assert lines_with(HOME) == []


def test_no_file_names_a_package_index() -> None:
    """The settings of pip, docker and Go on the installing machine decide where packages come from."""
    assert lines_with(INDEX) == []
    assert lines_with(INDEX_SETTING) == []


def test_no_file_has_conflict_markers() -> None:
    assert lines_with(re.compile(r"^(?:<{7}|>{7}) ")) == []


def test_the_patterns_match_what_they_forbid() -> None:
    assert HOME.search("PATH = '/home/ada/bin'")
    assert HOME.search("cd /root/project")
    assert not HOME.search('cp "$d/root/etc"')
    assert INDEX.search("https://pypi.example/simple")
    assert INDEX.search("https://files.pythonhosted.example/x")
    assert INDEX_SETTING.search("index-url = https://x/")
    assert INDEX_SETTING.search("GOPROXY=https://x")
    assert not INDEX_SETTING.search("GOPROXY=off")


def test_no_module_imports_pickle() -> None:
    """With pickle, write access to Redis would allow to run code."""
    for path in tracked(".py"):
        for node in nodes_of(path):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not UNSAFE & {name.split(".")[0] for name in names}, f"{path}:{getattr(node, 'lineno', 0)}"


@pytest.mark.parametrize("path", [each for each in tracked(".py") if each.stat().st_size], ids=str)
def test_every_module_has_a_docstring(path: Path) -> None:
    assert ast.get_docstring(tree_of(path)), "no docstring; write one line"


def skips() -> Iterator[tuple[Path, ast.Attribute, ast.Call | None]]:
    """Yield each `pytest.skip`, `pytest.mark.skip` and so on, with its call; None: it is not called."""
    for path in tracked(".py"):
        calls = {node.func: node for node in nodes_of(path) if isinstance(node, ast.Call)}
        for node in nodes_of(path):
            if isinstance(node, ast.Attribute) and node.attr in SKIPS and ast.unparse(node).startswith("pytest."):
                yield path, node, calls.get(node)


def test_every_skipped_test_has_a_reason() -> None:
    for path, node, call in skips():
        assert call, f"{path}:{node.lineno}: give a reason"
        reasons = call.args[1:] if node.attr == "skipif" else call.args
        assert reasons or call.keywords, f"{path}:{node.lineno}: give a reason"


def test_every_exemption_from_the_linter_has_its_reason() -> None:
    """`# noqa: E501  # why`, `# type: ignore[code]  # why`."""
    bare = re.compile(r"# (?:noqa|type: ignore)(?!\S*: [A-Z0-9, ]+  ?\S)(?!\[[\w, -]+\]  ?# \S)")
    assert [each for each in lines_with(bare) if each.startswith(("worker/", "operator/", "examples/"))] == []
