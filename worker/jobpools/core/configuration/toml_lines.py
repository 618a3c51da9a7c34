"""The line of each key in a TOML text: `tomllib` reads the values, but does not say where they are."""

import re
from collections.abc import Iterator
from typing import Final

from jobpools.core.configuration.values import Path

_LEXEME: Final = r"""
      (?P<space>[ \t\r]+|\#[^\n]*)
    | (?P<text>\"{3}(?:\\.|[^\\])*?\"{3,5}|'{3}.*?'{3,5}|"(?:\\.|[^"\\\n])*"|'[^'\n]*')
    | (?P<mark>[\[\]{}=,.\n])
    | (?P<bare>[^\s\[\]{}=,.\#"']+|.)
"""
"""Pattern of a token. It is compiled when a file is read: most processes read none."""
_ESCAPE: Final = re.compile(r"\\(?:u(.{4})|U(.{8})|(.))")
_ESCAPED: Final = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b"}


class _Scanner:
    """The tokens of a text, with the line of each."""

    def __init__(self, text: str) -> None:
        self._tokens = [*_tokens(text), ("mark", "\n", 0)]
        self._at = 0
        self.lines: dict[Path, int] = {}
        self._array_lengths: dict[Path, int] = {}

    def scan(self) -> None:
        """Read all statements: headers of tables, and keys with their values."""
        table: Path = ()
        while self._at < len(self._tokens):
            if self._next_is("\n"):
                self._at += 1
            elif self._next_is("["):
                table = self._header()
            else:
                self._pair(table)

    def _next_is(self, mark: str) -> bool:
        return self._at < len(self._tokens) and self._tokens[self._at][:2] == ("mark", mark)

    def _ends(self, *marks: str) -> bool:
        """Return whether one of the marks is next, or the text is over."""
        return self._at >= len(self._tokens) or any(map(self._next_is, marks))

    def _header(self) -> Path:
        """Read `[a.b]` or `[[a.b]]` and return the path of the table that it opens."""
        line, self._at = self._tokens[self._at][2], self._at + 1
        is_array = self._next_is("[")
        self._at += is_array
        path = self._resolved(self._key("]"))
        self._at += is_array
        for end in range(1, len(path) + 1):
            self.lines.setdefault(path[:end], line)
        if is_array:
            index = self._array_lengths.get(path, 0)
            self._array_lengths[path] = index + 1
            path = (*path, index)
            self.lines[path] = line
        return path

    def _resolved(self, keys: Path) -> Path:
        """Return the path of a header, in which the name of an array of tables stands for its latest table."""
        path: Path = ()
        for at, key in enumerate(keys):
            path = (*path, key)
            if path in self._array_lengths and at < len(keys) - 1:
                path = (*path, self._array_lengths[path] - 1)
        return path

    def _key(self, end: str) -> Path:
        """Read a key with its dots up to the mark `end`."""
        parts: list[str] = []
        while not self._ends(end):
            kind, text, _ = self._tokens[self._at]
            if kind != "mark":
                parts.append(text)
            self._at += 1
        self._at += 1
        return tuple(parts)

    def _pair(self, table: Path) -> None:
        line = self._tokens[self._at][2]
        keys = self._key("=")
        for end in range(1, len(keys) + 1):
            self.lines.setdefault((*table, *keys[:end]), line)
        self._value((*table, *keys))

    def _value(self, path: Path) -> None:
        """Read a value: an array, an inline table, or the tokens of a plain value."""
        if self._next_is("["):
            self._array(path)
        elif self._next_is("{"):
            self._inline_table(path)
        else:
            while not self._ends("\n", ",", "]", "}"):
                self._at += 1

    def _array(self, path: Path) -> None:
        index, self._at = 0, self._at + 1
        while not self._ends("]"):
            if self._next_is("\n") or self._next_is(","):
                self._at += 1
                continue
            self.lines[(*path, index)] = self._tokens[self._at][2]
            self._value((*path, index))
            index += 1
        self._at += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while not self._ends("}"):
            if self._next_is("\n") or self._next_is(","):
                self._at += 1
            else:
                self._pair(path)
        self._at += 1


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """Yield kind, text and line of each token, without spaces and comments. For a string, the text is its value."""
    line, at, token = 1, 0, re.compile(_LEXEME, re.VERBOSE | re.DOTALL)
    while (match := token.match(text, at)) is not None:
        kind, found = str(match.lastgroup), match.group()
        if kind == "text":
            yield kind, _unquoted(found), line
        elif kind != "space":
            yield kind, found, line
        line += found.count("\n")
        at = match.end()


def _unquoted(text: str) -> str:
    """Return the value of a string on one line. A string of several lines cannot be a key; it is returned as it is."""
    if text.startswith(("'", '"""')):
        return text.strip("'")
    return _ESCAPE.sub(
        lambda match: chr(int(match[1] or match[2], 16)) if match[3] is None else _ESCAPED.get(match[3], match[3]),
        text[1:-1],
    )


def lines_of(text: str) -> dict[Path, int]:
    """Return the line of each key, table and element of an array, starting at 1. The text must be valid TOML.

    Example:
        >>> lines_of("[tool.jobpools]  # a comment")[("tool", "jobpools")]
        1
    """
    scanner = _Scanner(text)
    scanner.scan()
    return scanner.lines
