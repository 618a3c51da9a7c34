"""How everything that a user writes in YAML is modelled: frozen, camelCase outside, unknown keys refused."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema
from pydantic.alias_generators import to_camel

from jobpools.core.units import DURATION_PATTERN, parse_duration

SHOWN = 60
"""Characters of a wrong value that an error repeats."""


class Model(BaseModel):
    """The base of every spec: `max_attempts` in Python, `maxAttempts` in YAML."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True
    )


def _duration(value: Any) -> Any:
    return parse_duration(value)


Duration = Annotated[
    float,
    BeforeValidator(_duration),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN}),
]
"""Seconds. In YAML a string such as `90s` or `1h30m`; in Python a number of seconds or a timedelta as well."""


def told(problem: Mapping[str, Any]) -> str:
    """One of `ValidationError.errors()` in our words, without its place: `0 should be greater than or equal to 1`."""
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
        return f"{shown} is not allowed here: it must match {problem['ctx']['pattern']}"
    _, should, rest = message.partition(" should ")
    return f"{shown} should {rest.partition(', unable to parse')[0]}" if should else f"{shown}: {message}"
