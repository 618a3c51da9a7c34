"""The options of `App`, and the checks of their values."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypedDict

from pydantic import ValidationError

from jobpools.core.jobs.policies import QueueLimits
from jobpools.core.text.did_you_mean import did_you_mean
from jobpools.core.text.durations import parse_duration
from jobpools.core.text.validation import explain
from jobpools.handle import Span
from jobpools.options import at_least_one, check_queue


class LimitValues(TypedDict, total=False):
    """The limits of a queue in `App(queues=…)`, for type checkers."""

    max_depth: int
    """Maximum number of queued jobs; 0: unlimited. Default: 10,000."""
    overflow: Literal["Block", "DropNewest", "DropOldest"]
    """What happens to a job that is enqueued while the queue is full. Default: `Block`."""
    max_scheduled: int
    """Maximum number of scheduled jobs; 0: unlimited. Default: 10,000."""


class AppValues(TypedDict, total=False):
    """The options of `App`, for type checkers."""

    redis: str | None
    """URL of Redis or Valkey. Default: JOBPOOLS_REDIS_URL, else the settings file, else redis://127.0.0.1:6379/0."""
    queue: str
    """Queue of handlers that name none. Default: `default`."""
    queues: Mapping[str, LimitValues]
    """Limits of queues, by name."""
    block_timeout: Span
    """Maximum time to wait for room in a full queue. Default: 30 seconds."""
    max_payload: int | None
    """Maximum bytes of an encoded job. Default: JOBPOOLS_MAX_PAYLOAD, else the settings file, else 1 MiB."""
    max_schedules: int
    """Maximum number of schedules made in code; 0: unlimited. Default: 1,000."""


def _non_empty(given: str) -> str:
    if not isinstance(given, str) or not given.strip():
        raise ValueError(f"must be a string that is not empty, got {given!r}")
    return given


def _at_least_zero(given: int) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or given < 0:
        raise ValueError(f"must be an integer of at least 0, got {given!r}")
    return given


def _limits(given: Mapping[str, LimitValues]) -> dict[str, QueueLimits]:
    if not isinstance(given, Mapping):
        raise TypeError(f"{given!r} is not a mapping; write limits by queue, as in {{'emails': {{'max_depth': 5000}}}}")
    return {check_queue(queue): _limits_of(queue, values) for queue, values in given.items()}


def _limits_of(queue: str, values: LimitValues) -> QueueLimits:
    try:
        return QueueLimits.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        if first["type"] == "extra_forbidden":
            hint = did_you_mean(field, QueueLimits.model_fields)
            raise ValueError(f"{queue}: {field}: no such limit{hint}") from error
        raise ValueError(f"{queue}: {field}{': ' * bool(field)}{explain(first)}") from error


CHECKS: dict[str, Callable[[Any], Any]] = {
    "name": _non_empty,
    "redis": _non_empty,
    "queue": check_queue,
    "queues": _limits,
    "block_timeout": parse_duration,
    "max_payload": at_least_one,
    "max_schedules": _at_least_zero,
}
"""The check of each argument of App, which returns its validated form."""
