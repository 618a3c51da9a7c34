"""What a model found wrong with a value, in words for whoever wrote it."""

import json
from collections.abc import Mapping
from typing import Any

from jobpools.core.text.names import APP_PATTERN, NAME_PATTERN, QUEUE_PATTERN

SHOWN = 60
"""Characters of a wrong value that an error repeats."""
_PATTERNS = {
    APP_PATTERN: "write module:name, as in shop.jobs:app",
    NAME_PATTERN: "write lower-case letters, digits and - between them, as in emails-2",
    QUEUE_PATTERN: "write letters, digits and -_. between them, as in emails.high",
}
_WORDS = {
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid string": "text",
    "a valid boolean": "true or false",
    "a valid array": "a list",
    "a valid list": "a list",
    "a valid tuple": "a list",
    "a valid dictionary": "a mapping",
    "an object": "a mapping",
    "timezone info": "an offset, as in 2027-01-01T00:00:00Z",
    " after validation": "",
}
"""pydantic's words and ours."""


def told(problem: Mapping[str, Any]) -> str:
    """One of `ValidationError.errors()` in one line, without its place: `0 should be greater than or equal to 1`."""
    kind, given, message = problem["type"], problem["input"], str(problem["msg"])
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "unknown key"
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    shown = json.dumps(given, default=str, ensure_ascii=False)
    shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}…"
    if kind == "string_pattern_mismatch":
        pattern = problem["ctx"]["pattern"]
        return f"{shown} is not allowed here: {_PATTERNS.get(pattern) or f'it must match {pattern}'}"
    _, should, rest = message.partition(" should ")
    if not should:
        return f"{shown}: {message}"
    rest = rest.partition(", unable to parse")[0]
    for theirs, ours in _WORDS.items():
        rest = rest.replace(theirs, ours)
    return f"{shown} should {rest}"
