"""The lines of keys agree with `tomllib` about which keys there are."""

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from jobpools.core.configuration.toml_lines import lines_of
from jobpools.core.configuration.values import Path

TEXTS: dict[str, tuple[str, dict[Path, int]]] = {
    "a key at the top": ("a = 1", {("a",): 1}),
    "a key in a table, after comments": ("# x\n[t] # y = 1\n\n  b = 2 # c = 3", {("t",): 2, ("t", "b"): 4}),
    "dotted keys": ("[a.b]\nc.d = 1", {("a",): 1, ("a", "b"): 1, ("a", "b", "c"): 2, ("a", "b", "c", "d"): 2}),
    "spaces around dots": ("[ a . b ]\n", {("a",): 1, ("a", "b"): 1}),
    "quoted keys": ("\"a.b\" = 1\n'c d'.e = 2", {("a.b",): 1, ("c d",): 2, ("c d", "e"): 2}),
    "an escape in a key": ('"\\u0061\\"" = 1', {('a"',): 1}),
    "a string with a bracket and a sign": ('a = "[x] = {"\nb = 2', {("a",): 1, ("b",): 2}),
    "a string of several lines": ('a = """\n[t]\nb = 1 \\"""\n"""\nc = 2', {("a",): 1, ("c",): 5}),
    "a string that ends with quotes": ('a = """x"""""\nb = 1', {("a",): 1, ("b",): 2}),
    "a literal of several lines": ("a = '''\nb = '1\n'''\nc = 2", {("a",): 1, ("c",): 4}),
    "an array of several lines": ("a = [\n  1, # x]\n  2,\n]\nb = 3",
                                  {("a",): 1, ("a", 0): 2, ("a", 1): 3, ("b",): 5}),
    "an array of arrays": ("a = [[1],\n[2]]", {("a",): 1, ("a", 0): 1, ("a", 0, 0): 1, ("a", 1): 2, ("a", 1, 0): 2}),
    "an inline table": ("a = {b = 1, c.d = [2]}",
                        {("a",): 1, ("a", "b"): 1, ("a", "c"): 1, ("a", "c", "d"): 1, ("a", "c", "d", 0): 1}),
    "tables in an array": ('q = [\n  {n = "x"},\n  {n = "y"}]',
                           {("q",): 1, ("q", 0): 2, ("q", 0, "n"): 2, ("q", 1): 3, ("q", 1, "n"): 3}),
    "arrays of tables": ("[[q]]\nn = 1\n[[q]]\nn = 2\n[q.t]\nm = 3",
                         {("q",): 1, ("q", 0): 1, ("q", 0, "n"): 2, ("q", 1): 3, ("q", 1, "n"): 4, ("q", 1, "t"): 5,
                          ("q", 1, "t", "m"): 6}),
    "numbers and times with points": ("a = 3.14\nb = 1979-05-27 07:32:00.5\nc = 1", {("a",): 1, ("b",): 2, ("c",): 3}),
    "lines that end as on Windows": ("a = 1\r\nb = 2\r\n", {("a",): 1, ("b",): 2}),
    "nothing": ("# only a comment", {}),
}  # fmt: skip


def paths(value: Any, at: Path = ()) -> set[Path]:
    """Return the paths of all values that are neither tables nor arrays."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    return {at} if inner is None else {path for key, each in inner for path in paths(each, (*at, key))}


@pytest.mark.parametrize("name", TEXTS)
def test_each_key_has_its_line(name: str) -> None:
    text, expected = TEXTS[name]
    assert lines_of(text) == expected
    assert paths(tomllib.loads(text)) <= expected.keys() | {()}, "tomllib finds the same keys"


PLAIN = st.sampled_from(
    ["7", "3.14", '"[a] # = {"', "'x'", '"""\n[t]\nb = "1"\n"""', "'''\n]\n'''", "1979-05-27 07:32:00"]
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda found: "[\n" + "".join(f"{each}, # ]\n" for each in found) + "]")
        | st.lists(inner, max_size=3).map(
            lambda found: "{" + ", ".join(f"k{at}.x = {each}" for at, each in enumerate(found)) + "}"
        )
    ),
    max_leaves=6,
)
HEADERS = st.sampled_from(["", "[t{}]\n", "# [x]\n", "\n", "[['a.b'.t{}]]\n"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(HEADERS, VALUES), max_size=5))
def test_the_keys_of_any_text_are_found_on_their_lines(statements: list[tuple[str, str]]) -> None:
    text = "".join(f"{header.format(at)}key{at} = {value}\n" for at, (header, value) in enumerate(statements))
    lines = lines_of(text)
    assert paths(tomllib.loads(text)) <= lines.keys() | {()}
    for key, line in lines.items():
        if str(key[-1]).startswith("key"):
            assert text.splitlines()[line - 1].startswith(f"{key[-1]} = ")
