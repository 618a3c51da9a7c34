"""What pydantic found wrong with a value, said for the person who wrote the value.

Pydantic's own sentences are never read: the messages come from an error's `type` and `ctx`.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from jobpools.core.text.error_text import first_line
from jobpools.core.text.names import APP_PATTERN, NAME_PATTERN, QUEUE_PATTERN

SHOWN: Final = 60
"""Maximum characters of a wrong value that a message repeats."""
_PATTERNS: Final = {
    APP_PATTERN: "module:name, as in shop.jobs:app",
    NAME_PATTERN: "lower-case letters, digits and - between them, as in emails-2",
    QUEUE_PATTERN: "letters, digits and -_. between them, as in emails.high",
}
_INTEGER: Final = "must be an integer"
_NUMBER: Final = "must be a number"
_TEXT: Final = "must be text"
_BOOLEAN: Final = "must be true or false"
_LIST: Final = "must be a list"
_MAPPING: Final = "must be a mapping"
_TIME: Final = "must be a time with its offset, as in 2027-01-01T00:00:00Z"
_REQUIREMENTS: Final[Mapping[str, str]] = {
    "int_type": _INTEGER,
    "int_parsing": _INTEGER,
    "int_from_float": _INTEGER,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "must be a finite number",
    "string_type": _TEXT,
    "bool_type": _BOOLEAN,
    "bool_parsing": _BOOLEAN,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "dict_type": _MAPPING,
    "mapping_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "dataclass_type": _MAPPING,
    "timezone_aware": _TIME,
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "string_too_short": "must be at least {min_length} characters long",
    "string_too_long": "must be at most {max_length} characters long",
    "too_short": "must have {min_length} or more items",
    "too_long": "must have {max_length} or fewer items",
}
"""What a value must be, by pydantic's type of error; the fields are those of the error's `ctx`."""

_OWN: Final = ("value_error", "assertion_error")
"""Types of errors that a validator raised: their message is the validator's."""


def explain(problem: Mapping[str, Any]) -> str:
    """Return one of `ValidationError.errors()` as text without its place, as in `must be at least 1, got 0`."""
    if problem["type"] == "missing":
        return "is missing"
    if problem["type"] == "extra_forbidden":
        return "unknown key"
    if problem["type"] in _OWN:
        return requirement(problem)
    shown = json.dumps(problem["input"], default=str, ensure_ascii=False)
    shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}…"
    return f"{requirement(problem)}, got {shown}"


def requirement(problem: Mapping[str, Any]) -> str:
    """Return what the value must be, without the value, as in `must be an integer`.

    An error that a validator raised, or of a type that is not known here, keeps its message.
    """
    context: dict[str, Any] = problem.get("ctx") or {}
    if problem["type"] in _OWN:
        return first_line(context["error"])
    if problem["type"] == "string_pattern_mismatch":
        pattern = context["pattern"]
        return f"must be {_PATTERNS.get(pattern) or f'text that matches {pattern}'}"
    known = _REQUIREMENTS.get(problem["type"])
    if known is None:
        return first_line(str(problem["msg"]))
    return known.format_map({name: f"{each:g}" if isinstance(each, float) else each for name, each in context.items()})
