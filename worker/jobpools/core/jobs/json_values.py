"""Values that JSON cannot hold, or would hold as something else: where they are, and what to use instead.

Serialising is pydantic's work. This module looks at a value and, where there is one, at what a reader got back from
its JSON, and names the first part that was lost. It runs only when something is wrong, or when the value read back is
not equal to the value written.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set as AbstractSet
from dataclasses import fields, is_dataclass
from typing import Any, Final, cast

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from jobpools.core.text.error_text import first_line

DEEPEST: Final = 199
"""Maximum levels of nesting in one argument or result: the reader stops at 200, and the arguments are a level."""
LONGEST_INTEGER: Final = 4300
"""Maximum decimal digits of an integer: Python's own limit for text, and that of the reader."""
_ENDS: Final = 3
"""Maximum names that are said of each end of a path."""
_NAME: Final = 60
"""Maximum characters that are said of a name in a path: it may be any key of a dict."""
_TOO_LONG: Final = 10**LONGEST_INTEGER
_ABSENT: Final = object()
_BYTES: Final = (
    "bytes that are not UTF-8 text; send them as base64 text (annotate pydantic.Base64Bytes), or store the data "
    "elsewhere and send a reference to it"
)
_SURROGATE: Final = "text with half of a surrogate pair; clean it, as in text.encode(errors='replace').decode()"
_DEEP: Final = f"nested more than {DEEPEST} levels deep, or contains itself; flatten it"
_DIGITS: Final = f"an integer of more than {LONGEST_INTEGER} digits; send it as hexadecimal text, as in hex(n)"
_KEYS: Final = "two of its keys are the same text in JSON; use text keys"

Path = tuple[str, ...]
RESULT: Final = ("result",)
"""The path of a result, for the messages of errors."""


class LostError(ValueError):
    """A value cannot be JSON, or would be read back as another one; the message says which part of it."""


def encode(value: Any, root: Path = ()) -> bytes:
    """Return the JSON of a value that has no annotation; `root` is what errors call it.

    Raises:
        LostError: A part of it cannot be JSON, or would be read back as something that was not meant.
    """
    try:
        raw = to_json(value, inf_nan_mode="strings")
        back = from_json(raw)
    except ValueError as error:
        raise LostError(flaw(value, root=root) or json_problem(error)) from error
    check(value, back, root)
    return raw


def decode(raw: bytes) -> Any:
    """Return the value of a JSON text. Raises ValueError in one line."""
    return from_json(raw)


def check(value: Any, back: Any, root: Path = ()) -> None:
    """Raise LostError when `back`, read from the JSON of `value`, lacks something of it."""
    if not _same(value, back) and (lost := flaw(value, back, root)):
        raise LostError(lost)


def flaw(value: Any, back: Any = _ABSENT, root: Path = ()) -> str | None:
    """Return `where: what is wrong; what to do` for the first part that JSON cannot hold; None when there is none."""
    for path, each, after in _parts(value, back, root):
        if found := _wrong(each, after, len(path)):
            return f"{_spelt(path)}: {found}" if path else found
    return None


def _spelt(path: Path) -> str:
    """Return a path as text that leaves room for what is wrong there."""
    names = path if len(path) <= 2 * _ENDS else (*path[:_ENDS], "…", *path[-_ENDS:])
    return ".".join(name if len(name) <= _NAME else f"{name[: _NAME - 1]}…" for name in names)


def json_problem(error: BaseException) -> str:
    """Return the first line of a JSON library's error without the library's own prefixes."""
    return first_line(error).removeprefix("Error serializing to JSON: ").removeprefix("PydanticSerializationError: ")


def is_lossy(schema: Any) -> bool:
    """Return whether a value of this core schema may come back as another one, without any error."""
    waiting: list[Any] = [schema]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            node = cast("dict[str, Any]", each)
            kind = node.get("type")
            if kind in ("any", "float") or (kind == "dict" and _key_type(node) != "str"):
                return True
            waiting.extend(node.values())
        elif isinstance(each, list | tuple):
            waiting.extend(cast("Iterable[object]", each))
    return False


def _key_type(schema: dict[str, Any]) -> Any:
    keys: dict[str, Any] | None = schema.get("keys_schema")
    return keys.get("type") if isinstance(keys, dict) else "any"


def _parts(value: Any, back: Any, root: Path) -> Iterator[tuple[Path, Any, Any]]:
    """Yield each part before its own parts, with its path and what was read back in its place."""
    waiting: list[tuple[Path, Any, Any]] = [(root, value, back)]
    while waiting:
        path, each, after = waiting.pop()
        if after is not _ABSENT and _same(each, after):
            continue
        yield path, each, after
        kept = dict(_children(after)) if after is not _ABSENT else {}
        below = [
            ((*path, _text(name)), child, kept.get(name, kept.get(_text(name), _ABSENT)))
            for name, child in _children(each)
        ]
        waiting.extend(reversed(below))


def _children(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, BaseModel):
        yield from value.__dict__.items()
        yield from (value.__pydantic_extra__ or {}).items()
    elif is_dataclass(value) and not isinstance(value, type):
        yield from ((field.name, getattr(value, field.name, None)) for field in fields(value))
    elif isinstance(value, Sequence | AbstractSet) and not isinstance(value, str | bytes | bytearray):
        yield from enumerate(cast("Iterable[object]", value))


def _wrong(value: Any, back: Any, depth: int) -> str | None:
    if depth > DEEPEST:
        return _DEEP
    if isinstance(value, float):
        return _number(value, back)
    if isinstance(value, Mapping):
        return _keys(cast("Mapping[object, object]", value), back)
    if isinstance(value, int):
        return _DIGITS if abs(value) >= _TOO_LONG else None
    return _characters(value)


def _characters(value: Any) -> str | None:
    if isinstance(value, bytes | bytearray):
        return None if _is_text(bytes(value)) else _BYTES
    return _SURROGATE if isinstance(value, str) and not _has_utf8(value) else None


def _number(value: float, back: Any) -> str | None:
    """NaN and infinity have no JSON: as a float they travel as text, and only a float annotation turns it back."""
    if math.isfinite(value) or back is _ABSENT or isinstance(back, float):
        return None
    return f"{value} has no JSON and would be read back as {back!r}; annotate the value as float, or use None"


def _keys(value: Mapping[Any, Any], back: Any) -> str | None:
    if any(isinstance(key, str) and not _has_utf8(key) for key in value):
        return f"a key is {_SURROGATE}"
    return _KEYS if isinstance(back, Mapping) and len(cast("Mapping[object, object]", back)) < len(value) else None


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _has_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(name: Any) -> str:
    return str(name).encode(errors="backslashreplace").decode()


def _same(value: Any, back: Any) -> bool:
    """Return whether both are equal; a tuple or a set in memory is an array in JSON."""
    try:
        if isinstance(value, tuple) and isinstance(back, list):
            return list(cast("tuple[object, ...]", value)) == back
        return bool(value == back)
    except Exception:  # noqa: BLE001  # the __eq__ of a user's class
        return False
