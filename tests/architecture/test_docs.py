"""The documents match the code: variables, defaults, commands, flags, links, make targets, exported names."""

import ast
import importlib
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
import typer.main

import jobpools
from jobpools.cli.app import app

ROOT = Path(__file__).parents[2]
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
SOURCES = sorted([*(ROOT / "worker").rglob("*.py"), *(ROOT / "operator").rglob("*.py")])
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


# Variables


def test_every_variable_that_is_read_is_documented() -> None:
    read = {found for path in SOURCES for found in re.findall(r"JOBPOOLS_[A-Z_]+", path.read_text())}
    assert read - set(re.findall(r"JOBPOOLS_[A-Z_]+", CONFIGURATION)) == set()


# Commands


def commands(group: Any = None, path: str = "") -> dict[str, set[str]]:
    """Return the flags of each command, by its path such as `jobs show`."""
    group = typer.main.get_command(app) if group is None else group
    found = {}
    for name, command in group.commands.items():
        found[f"{path}{name}"] = {"--help"} | {flag for each in command.params for flag in each.opts}
        if hasattr(command, "commands"):
            found |= commands(command, f"{path}{name} ")
            found[f"{path}{name}"] |= found[f"{path}{name} list"]
    return found


def calls(text: str) -> Iterator[str]:
    """Yield the arguments of each call of `jobpools`, in code blocks and in code spans."""
    yield from re.findall(r"^\s*(?:\$ )?jobpools ([^\n]*)", text, re.MULTILINE)
    yield from re.findall(r"`jobpools ([^`\n]*)`", text)


@pytest.mark.parametrize("path", DOCS, ids=short)
def test_documents_call_commands_that_exist(path: Path) -> None:
    known = commands()
    for call in calls(path.read_text()):
        words = shlex.split(re.sub(r", |…", " ", call.partition(" | ")[0]), comments=True)
        if not words or words[0].startswith("-"):
            continue
        assert words[0] in known, f"{short(path)}: jobpools {call}"
        name = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
        flags = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert flags <= known[name], f"{short(path)}: jobpools {call}: {flags - known[name]}"


def test_the_reference_has_every_command_and_flag() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    for name, flags in commands().items():
        assert f"jobpools {name}" in text, name
        missing = {flag for flag in flags if flag.startswith("--") and flag not in text}
        assert not missing, f"jobpools {name}: {missing}"


# Links, targets, names


@pytest.mark.parametrize("path", DOCS, ids=short)
def test_links_have_targets(path: Path) -> None:
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("mailto:"):
            continue
        file, _, anchor = target.partition("#")
        target_path = (path.parent / file).resolve() if file else path
        assert target_path.exists(), f"{short(path)}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target_path.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", each.lower()).strip().replace(" ", "-") for each in headings}
            assert anchor in slugs, f"{short(path)}: {target}"


@pytest.mark.parametrize("path", DOCS, ids=short)
def test_the_files_that_documents_name_exist(path: Path) -> None:
    for named in re.findall(r"`((?:docs|examples|hack|helm|operator|tests|worker)/[\w./-]*)`", path.read_text()):
        assert (ROOT / named).exists(), f"{short(path)}: {named}"


def test_make_help_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = set(re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)[0].split())
    assert phony == set(re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE))
    run = subprocess.run(["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {line.split()[1] for line in run.stdout.splitlines()} == phony


def test_targets_that_documents_name_exist() -> None:
    text = (ROOT / "Makefile").read_text()
    for path in DOCS:
        for target in re.findall(r"(?:^|`|\$ )make ([a-z][a-z-]*)", path.read_text(), re.MULTILINE):
            assert re.search(rf"^{target}:", text, re.MULTILINE), f"{short(path)}: make {target}"


def homes() -> dict[str, str]:
    """Return the module that defines each exported name."""
    tree = ast.parse(Path(str(jobpools.__file__)).read_text())
    return {
        alias.name: str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("jobpools.")
        for alias in node.names
    }


@pytest.mark.parametrize("name", jobpools.__all__)
def test_every_exported_name_has_a_docstring(name: str) -> None:
    """A class or function has a docstring, an alias a string below it."""
    value, home = getattr(jobpools, name), homes()[name]
    if isinstance(value, (type, FunctionType)):
        assert (value.__doc__ or "").strip()
        return
    body = ast.parse(Path(str(importlib.import_module(home).__file__)).read_text()).body
    for at, node in enumerate(body[:-1]):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            below = body[at + 1]
            assert isinstance(below, ast.Expr), f"{home}.{name}"
            assert isinstance(below.value, ast.Constant), f"{home}.{name}"
            return
    pytest.fail(f"{home} has no {name}")
