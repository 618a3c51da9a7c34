"""Parsed Python files: each is read and parsed once for all architecture tests."""

import ast
import functools
from pathlib import Path

ROOT = Path(__file__).parents[2]


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """Return the syntax tree of a file; `path` is absolute or relative to the repository."""
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


@functools.cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Return all nodes of a file's syntax tree, in the order of `ast.walk`."""
    return tuple(ast.walk(tree_of(path)))
