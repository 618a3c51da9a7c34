"""The base of all models of YAML: frozen, with camelCase keys, and without unknown keys."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationInfo, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from jobpools.core.text.durations import DURATION_PATTERN, parse_duration

_NOT_CAMEL = {"result_ttl": "resultTTL", "on": "onErrors"}
"""Keys that are not plain camelCase: an acronym, and `on`, which YAML 1.1 reads as `true`.

They are not aliases at the fields, because type checkers would then refuse `Retry(on=…)`."""


def _key(field: str) -> str:
    """Return the key of a field in YAML and JSON."""
    return _NOT_CAMEL.get(field) or to_camel(field)


class Model(BaseModel):
    """Base class of every spec: `max_attempts` in Python is `maxAttempts` in YAML."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=_key, populate_by_name=True)


def _duration(value: Any, info: ValidationInfo) -> Any:
    if info.mode == "json" and not isinstance(value, str):  # the API server refuses it as well
        raise ValueError(f"{value!r} is not a duration; write a number and a unit (ms, s, m, h, d), as in 90s or 1h30m")
    return parse_duration(value)


Duration = Annotated[
    float,
    BeforeValidator(_duration),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN}),
]
"""Seconds. In YAML a string such as `90s` or `1h30m`; in Python a number of seconds or a timedelta as well."""


def is_duration(field: FieldInfo) -> bool:
    """Return whether the field of a model is a Duration or a Timeout."""
    return any(
        isinstance(each, WithJsonSchema) and (each.json_schema or {}).get("pattern") == DURATION_PATTERN
        for each in field.metadata
    )


def _check_positive(seconds: float) -> float:
    if not seconds:
        raise ValueError("must be more than 0s")
    return seconds


Timeout = Annotated[Duration, AfterValidator(_check_positive)]
"""A duration greater than zero; the CRDs have the same rule in CEL."""
