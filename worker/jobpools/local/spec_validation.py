"""Validation of a YAML document against a model of core; errors name file, line, key and the likely intention."""

import json
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from jobpools.core.schedules.expression import load_time_zone, parse_cron
from jobpools.core.text.did_you_mean import did_you_mean
from jobpools.core.text.plurals import count_of
from jobpools.core.text.validation import explain
from jobpools.errors import SpecError
from jobpools.local.yaml_documents import Document, Location

_UNKNOWN_KEY = "extra_forbidden"
"""pydantic's error type for a key that the model does not have."""

T = TypeVar("T", bound=BaseModel)


def validated(document: Document, location: Location, model: type[T], value: Any = None) -> T:
    """Return a part of the document as a model.

    Args:
        document: The document that is validated.
        location: Where the part is.
        model: The model of core.
        value: The part itself; default: the value at the first key of `location`.

    Raises:
        SpecError: The part does not fit the model.
    """
    if value is None:
        value = document.value.get(location[0])
    if not isinstance(value, dict):
        raise document.error(location, "is missing" if value is None else "must be a mapping")
    try:
        # Strict and as JSON: what the API server refuses (a number in quotes) is refused here as well.
        return model.model_validate_json(json.dumps(value, default=str), strict=True)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        # An unknown key is often the cause of the others: the misspelt key is also missing.
        problems.sort(key=lambda each: each["type"] != _UNKNOWN_KEY)
        first = problems[0]
        suggestion = (
            did_you_mean(str(first["loc"][-1]), _keys(model, first["loc"][:-1]))
            if first["type"] == _UNKNOWN_KEY
            else ""
        )
        more = f" (and {count_of(len(problems) - 1, 'more error')})" if len(problems) > 1 else ""
        raise document.error((*location, *first["loc"]), f"{explain(first)}{suggestion}{more}") from error


def check_cron(document: Document, location: Location, key: str, expression: str, time_zone: str) -> None:
    """Check the cron expression in `key` and the `timeZone` next to it. Raises SpecError."""
    try:
        load_time_zone(time_zone)
    except SpecError as error:
        raise document.error((*location, "timeZone"), str(error).removeprefix("timeZone ")) from error
    try:
        parse_cron(expression, time_zone)
    except SpecError as error:
        raise document.error((*location, key), str(error).removeprefix("schedule ")) from error


def _keys(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """Return the keys that a model allows at a location."""
    annotation: Any = model
    for part in location:
        if isinstance(part, str):
            parent = _model_in(annotation)
            if parent is None:
                return []
            annotation = next(
                (each.annotation for name, each in parent.model_fields.items() if part in (name, each.alias)), None
            )
    found = _model_in(annotation)
    if found is None:
        return []
    return [each.alias or name for name, each in found.model_fields.items() if not each.exclude]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model that an annotation is or contains: `tuple[X, ...]`, `X | None`, `Annotated[X, …]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in typing.get_args(annotation) if (found := _model_in(each)) is not None), None)
