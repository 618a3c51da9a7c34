"""What must stand in no file, and what must stand in every one of a kind."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

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
UNSAFE = {"pickle", "cloudpickle", "dill", "marshal", "shelve"}


def tracked(*suffixes: str) -> list[Path]:
    """Files of the repository, as text."""
    run = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [
        Path(name) for name in run.stdout.split("\0") if name and name.endswith(suffixes) and (ROOT / name).is_file()
    ]


def text_of(path: Path) -> str:
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def found(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()[:100]}"
        for path in tracked("")
        if path != THIS
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_knows_somebodys_folders() -> None:
    assert found(HOME) == []


def test_no_file_names_a_package_index() -> None:
    """Where packages come from is the business of whoever installs: pip's, docker's and Go's own settings say it."""
    assert found(INDEX) == []
    assert found(INDEX_SETTING) == []


def test_no_file_is_half_merged() -> None:
    assert found(re.compile(r"^(?:<{7}|>{7}) ")) == []


def test_the_guards_see_what_they_guard_against() -> None:
    assert HOME.search("PATH = '/home/ada/bin'")
    assert HOME.search("cd /root/project")
    assert not HOME.search('cp "$d/root/etc"')
    assert INDEX.search("https://pypi.example/simple")
    assert INDEX.search("https://files.pythonhosted.example/x")
    assert INDEX_SETTING.search("index-url = https://x/")
    assert INDEX_SETTING.search("GOPROXY=https://x")
    assert not INDEX_SETTING.search("GOPROXY=off")


def test_payloads_are_json_and_nothing_else() -> None:
    """No pickle anywhere: whoever can write to Redis must not be able to run code."""
    for path in tracked(".py"):
        for node in ast.walk(ast.parse(text_of(path))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not UNSAFE & {name.split(".")[0] for name in names}, f"{path}:{getattr(node, 'lineno', 0)}"


@pytest.mark.parametrize("path", [each for each in tracked(".py") if each.stat().st_size], ids=str)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(text_of(path))), "a docstring: one line is enough"


def test_no_test_is_left_out_without_a_reason() -> None:
    for path in tracked(".py"):
        if path.parts[0] != "tests":
            continue
        for node in ast.walk(ast.parse(text_of(path))):
            if isinstance(node, ast.Call) and re.fullmatch(
                r"pytest\.(mark\.)?(skip|skipif|xfail)", ast.unparse(node.func)
            ):
                given = (
                    [*node.args[1:], *node.keywords]
                    if "skipif" in ast.unparse(node.func)
                    else [*node.args, *node.keywords]
                )
                assert given, f"{path}:{node.lineno}: why?"
            if isinstance(node, ast.Attribute) and re.fullmatch(r"pytest\.mark\.(skip|xfail)", ast.unparse(node)):
                calls = [each for each in ast.walk(ast.parse(text_of(path))) if isinstance(each, ast.Call)]
                assert any(ast.unparse(each.func) == ast.unparse(node) for each in calls), f"{path}:{node.lineno}: why?"


def test_every_exemption_from_the_linter_has_its_reason() -> None:
    """`# noqa: E501  # why`, `# type: ignore[code]  # why`."""
    bare = re.compile(r"# (?:noqa|type: ignore)(?!\S*: [A-Z0-9, ]+  ?\S)(?!\[[\w, -]+\]  ?# \S)")
    assert [each for each in found(bare) if each.startswith(("worker/", "operator/", "examples/"))] == []
