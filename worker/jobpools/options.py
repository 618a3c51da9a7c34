"""The options of `@app.job`, `Handler.options` and `App.enqueue`, validated before a job is enqueued."""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypedDict, Unpack, cast

from jobpools.core.jobs import json_values
from jobpools.core.jobs.job import Priority
from jobpools.core.jobs.retry import Retry
from jobpools.core.text.did_you_mean import did_you_mean
from jobpools.core.text.durations import format_duration, parse_duration
from jobpools.core.text.error_text import error_message
from jobpools.core.text.names import QUEUE_LIMIT, QUEUE_PATTERN
from jobpools.errors import ConfigurationError
from jobpools.handle import Span
from jobpools.store.job_ids import check_id

_QUEUE = re.compile(QUEUE_PATTERN)


class HandlerValues(TypedDict, total=False):
    """The options of both `@app.job` and `options`, for type checkers."""

    queue: str
    """Name of the queue."""
    priority: Priority | Literal["high", "normal", "low"]
    """Priority within the queue."""
    tags: Sequence[str]
    """Labels for people and handlers."""
    metadata: Mapping[str, Any]
    """A JSON object that travels with the job, as `ctx.metadata`."""
    timeout: Span
    """Maximum duration of one attempt."""
    retry: Retry
    """When and how often a failed job is retried."""
    result_ttl: Span
    """How long a completed job and its result are kept; 0 keeps neither."""
    max_crashes: int
    """Number of crashes of its worker after which the job is dead."""
    expires: Span
    """Time after which no attempt starts."""


class OptionValues(HandlerValues, total=False):
    """The options of `options` and `App.enqueue`, for type checkers."""

    delay: Span
    """Time before the job may run."""
    at: datetime
    """Time before which the job does not run, with a time zone."""
    id: str
    """The job's own id: while a job with this id is known, another is not enqueued."""


@dataclass(frozen=True, slots=True)
class Options:
    """Validated options, with durations in seconds. None: the default of the handler or pool applies."""

    queue: str | None = None
    priority: str = "normal"
    delay: float = 0.0
    at: float | None = None
    """Seconds since the epoch."""
    id: str | None = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] | None = None
    timeout: float | None = None
    retry: Retry | None = None
    result_ttl: float | None = None
    max_crashes: int | None = None
    expires: float | None = None

    @classmethod
    def make(cls, call: str = "", /, **given: Unpack[OptionValues]) -> "Options":
        """Validate options; None counts as not given. Errors name `call`.

        Raises:
            ConfigurationError: An option is unknown or has an invalid value.
        """
        values = checked(call, given, OPTION_CHECKS)
        if values.keys() >= {"at", "delay"}:
            raise ConfigurationError(f"{call}{': ' * bool(call)}at and delay exclude each other; give one of them")
        if (expires := values.get("expires")) and values.get("delay", 0.0) >= expires:
            raise ConfigurationError(
                f"{call}{': ' * bool(call)}expires: the job would expire before its delay is over; give a time "
                f"longer than {format_duration(values['delay'])}"
            )
        return cls(**values)


def checked(call: str, given: Mapping[str, Any], checks: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    """Return the validated options that are not None. A check raises ValueError or TypeError; errors name `call`.

    Raises:
        ConfigurationError: An option is unknown or has an invalid value.
    """
    prefix = f"{call}: " if call else ""
    values: dict[str, Any] = {}
    for name, value in given.items():
        check = checks.get(name)
        if check is None:
            raise ConfigurationError(f"{prefix}{name}: no such option{did_you_mean(name, checks)}")
        try:
            if value is not None:
                values[name] = check(value)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"{prefix}{name}: {error}") from error
    return values


def check_queue(name: str) -> str:
    """Return the name. Raises ValueError if it is invalid. A brace, for example, would break the keys' hash tag."""
    if not isinstance(name, str) or len(name) > QUEUE_LIMIT or not _QUEUE.fullmatch(name):
        raise ValueError(
            f"{name!r} is not a queue name; use 1 to {QUEUE_LIMIT} letters and digits, with -_. between them"
        )
    return name


def _priority(given: str) -> str:
    if given not in tuple(Priority):
        raise ValueError(f"{given!r} is not a priority; use high, normal or low")
    return str(Priority(given))


def timestamp_of(at: datetime) -> float:
    """Return seconds since the epoch. Raises TypeError and ValueError unless it is a datetime with a time zone."""
    if not isinstance(at, datetime):
        raise TypeError(f"{at!r} is not a datetime; write datetime.now(UTC) + timedelta(hours=1)")
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} has no time zone; add one, as in datetime.now(UTC)")
    return at.timestamp()


def check_tags(given: Iterable[str]) -> tuple[str, ...]:
    """Return the tags. Raises ValueError for anything but strings."""
    found = () if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)
    if not all(isinstance(each, str) for each in found) or (given and not found):
        raise ValueError(f"{given!r} is not a list of strings; write it as in ['vip']")
    return found


def _metadata(given: Mapping[str, Any]) -> dict[str, Any] | None:
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise TypeError(f"{given!r} is not a JSON object; write a dict with text keys, as in {{'tenant': 'acme'}}")
    try:
        raw = json_values.encode(dict(given))
        return cast("dict[str, Any]", json_values.decode(raw)) or None
    except Exception as error:  # a serializer of a user's class may raise any exception
        raise ValueError(error_message(error)) from error


def _retry(given: Retry) -> Retry:
    if not isinstance(given, Retry):
        raise TypeError(f"{given!r} is not a Retry; write Retry(max_attempts=5)")
    if inspect.iscoroutinefunction(given.function):
        raise ValueError(f"the retry function {given.function.__name__} is async; use a plain function")
    return given


def at_least_one(given: int) -> int:
    """Return an integer of at least 1. Raises ValueError for anything else."""
    if not isinstance(given, int) or isinstance(given, bool) or given < 1:
        raise ValueError(f"must be an integer of at least 1, got {given!r}")
    return given


def _positive(given: Span) -> float:
    if not (seconds := parse_duration(given)):
        raise ValueError("must be more than 0")
    return seconds


OPTION_CHECKS: dict[str, Callable[[Any], Any]] = {
    "queue": check_queue,
    "priority": _priority,
    "tags": check_tags,
    "metadata": _metadata,
    "timeout": _positive,
    "retry": _retry,
    "result_ttl": parse_duration,
    "max_crashes": at_least_one,
    "expires": _positive,
    "delay": parse_duration,
    "at": timestamp_of,
    "id": check_id,
}
"""The check of each option, which returns its validated form."""
