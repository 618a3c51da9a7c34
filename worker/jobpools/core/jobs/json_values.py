"""Find the part of a value that JSON cannot hold, or that would be read back as another value.

Pydantic serialises the values. The search runs only when that fails, or when the value that is read back is not equal
to the value that was written. Each problem says what to use instead.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set as AbstractSet
from dataclasses import fields, is_dataclass
from typing import Any, Final, cast

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from jobpools.core.text.error_text import first_line

MAX_DEPTH: Final = 199
"""Maximum levels of nesting in one argument or result: the reader stops at 200, and the arguments are a level."""
MAX_INTEGER_DIGITS: Final = 4300
"""Maximum decimal digits of an integer: Python's own limit for text, and that of the reader."""
_SHOWN_NAMES: Final = 3
"""Maximum number of names that a message shows at the start and at the end of a path."""
_SHOWN_CHARACTERS: Final = 60
"""Maximum characters of a name in a path that a message shows: the name may be any key of a dict."""
_INTEGER_LIMIT: Final = 10**MAX_INTEGER_DIGITS
_ABSENT: Final = object()
_BYTES: Final = (
    "bytes that are not UTF-8 text; send them as base64 text (annotate pydantic.Base64Bytes), or store the data "
    "elsewhere and send a reference to it"
)
_SURROGATE: Final = "text with half of a surrogate pair; clean it, as in text.encode(errors='replace').decode()"
_DEEP: Final = f"nested more than {MAX_DEPTH} levels deep, or contains itself; flatten it"
_DIGITS: Final = f"an integer of more than {MAX_INTEGER_DIGITS} digits; send it as hexadecimal text, as in hex(n)"
_KEYS: Final = "two of its keys are the same text in JSON; use text keys"

Path = tuple[str, ...]
RESULT: Final = ("result",)
"""The path of a result, for the messages of errors."""


class JsonValueError(ValueError):
    """A value cannot be JSON, or would be read back as another value; the message names the part."""


def encode(value: Any, root: Path = ()) -> bytes:
    """Return the JSON of a value that has no annotation; `root` is its path in errors.

    Raises:
        JsonValueError: A part of it cannot be JSON, or would be read back as another value.
    """
    try:
        raw = to_json(value, inf_nan_mode="strings")
        back = from_json(raw)
    except ValueError as error:
        raise JsonValueError(find_problem(value, root=root) or json_problem(error)) from error
    check(value, back, root)
    return raw


def decode(raw: bytes) -> Any:
    """Return the value of a JSON text. Raises ValueError in one line."""
    return from_json(raw)


def check(value: Any, back: Any, root: Path = ()) -> None:
    """Raise JsonValueError when `back`, read from the JSON of `value`, lacks something of it."""
    if not _is_equal(value, back) and (lost := find_problem(value, back, root)):
        raise JsonValueError(lost)


def find_problem(value: Any, back: Any = _ABSENT, root: Path = ()) -> str | None:
    """Return `<where>: <what is wrong>; <how to fix it>` for the first part that JSON cannot hold, or None."""
    for path, each, after in _parts(value, back, root):
        if found := _problem_with(each, after, len(path)):
            return f"{_path_text(path)}: {found}" if path else found
    return None


def _path_text(path: Path) -> str:
    """Return a path as text, shortened so that the message has room for the problem."""
    names = path if len(path) <= 2 * _SHOWN_NAMES else (*path[:_SHOWN_NAMES], "…", *path[-_SHOWN_NAMES:])
    return ".".join(name if len(name) <= _SHOWN_CHARACTERS else f"{name[: _SHOWN_CHARACTERS - 1]}…" for name in names)


def json_problem(error: BaseException) -> str:
    """Return the first line of a JSON library's error without the library's own prefixes."""
    return first_line(error).removeprefix("Error serializing to JSON: ").removeprefix("PydanticSerializationError: ")


def is_lossy(schema: Any) -> bool:
    """Return whether a value of this core schema may be read back as another value without an error."""
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
        if after is not _ABSENT and _is_equal(each, after):
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


def _problem_with(value: Any, back: Any, depth: int) -> str | None:
    if depth > MAX_DEPTH:
        return _DEEP
    if isinstance(value, float):
        return _number_problem(value, back)
    if isinstance(value, Mapping):
        return _keys_problem(cast("Mapping[object, object]", value), back)
    if isinstance(value, int):
        return _DIGITS if abs(value) >= _INTEGER_LIMIT else None
    return _text_problem(value)


def _text_problem(value: Any) -> str | None:
    if isinstance(value, bytes | bytearray):
        return None if _is_text(bytes(value)) else _BYTES
    return _SURROGATE if isinstance(value, str) and not _has_utf8(value) else None


def _number_problem(value: float, back: Any) -> str | None:
    """Return the problem of NaN and infinity: JSON holds them as text, which only a float annotation reads back."""
    if math.isfinite(value) or back is _ABSENT or isinstance(back, float):
        return None
    return f"{value} has no JSON and would be read back as {back!r}; annotate the value as float, or use None"


def _keys_problem(value: Mapping[Any, Any], back: Any) -> str | None:
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


def _is_equal(value: Any, back: Any) -> bool:
    """Return whether both are equal; a tuple or a set in memory is an array in JSON."""
    try:
        if isinstance(value, tuple) and isinstance(back, list):
            return list(cast("tuple[object, ...]", value)) == back
        return bool(value == back)
    except Exception:  # noqa: BLE001  # the __eq__ of a user's class
        return False
