"""How everything that a user writes in YAML is modelled: frozen, camelCase outside, unknown keys refused."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationInfo, WithJsonSchema
from pydantic.alias_generators import to_camel

from jobpools.core.text.durations import DURATION_PATTERN, parse_duration

_NOT_CAMEL = {"result_ttl": "resultTTL", "on": "onErrors"}
"""An acronym, and a word that YAML takes for `true`. Not at the fields: there a type checker would take the key for the
argument's only name, and `Retry(on=…)` for a mistake."""


def _key(field: str) -> str:
    """How a field is called in YAML and JSON."""
    return _NOT_CAMEL.get(field) or to_camel(field)


class Model(BaseModel):
    """The base of every spec: `max_attempts` in Python, `maxAttempts` in YAML."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=_key, populate_by_name=True)


def _duration(value: Any, info: ValidationInfo) -> Any:
    if info.mode == "json" and not isinstance(value, str):  # what the API server would refuse as well
        raise ValueError(f"{value!r} is not a duration: write a number and a unit (ms, s, m, h, d), as in 90s or 1h30m")
    return parse_duration(value)


Duration = Annotated[
    float,
    BeforeValidator(_duration),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN}),
]
"""Seconds. In YAML a string such as `90s` or `1h30m`; in Python a number of seconds or a timedelta as well."""


def _some(seconds: float) -> float:
    if not seconds:
        raise ValueError("0s leaves a job no time at all")
    return seconds


Timeout = Annotated[Duration, AfterValidator(_some)]
"""A duration above zero; the CRDs say so in CEL."""
