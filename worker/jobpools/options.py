"""The options of a job: what may be given to `@app.job` and `options`, checked before anything is sent."""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypedDict, Unpack

from jobpools.core.jobs.job import Priority
from jobpools.core.jobs.retry import Retry
from jobpools.core.text.did_you_mean import did_you_mean
from jobpools.core.text.durations import parse_duration
from jobpools.core.text.names import QUEUE_LIMIT, QUEUE_PATTERN
from jobpools.errors import ConfigurationError
from jobpools.handle import Span
from jobpools.store.codec import check_id

_QUEUE = re.compile(QUEUE_PATTERN)


class HandlerValues(TypedDict, total=False):
    """What both `@app.job(…)` and `options(…)` may say."""

    queue: str
    priority: Priority | Literal["high", "normal", "low"]
    tags: Sequence[str]
    timeout: Span
    """The longest an attempt may run."""
    retry: Retry
    """What happens after a failed attempt."""
    result_ttl: Span
    """How long the job and its result stay readable after it completed; 0: not at all."""
    max_crashes: int
    """How many times the job may take its worker down before it is dead."""


class OptionValues(HandlerValues, total=False):
    """What `options(…)` may say."""

    delay: Span
    """Not before this much later."""
    at: datetime
    """Not before this moment; it must have a time zone."""
    id: str
    """The job's own id: a second job of this id is not accepted while the first is known."""


@dataclass(frozen=True, slots=True)
class Options:
    """The checked form of OptionValues; None leaves it to the handler, and then to the pool."""

    queue: str | None = None
    priority: str = "normal"
    delay: float = 0.0
    at: float | None = None
    id: str | None = None
    tags: tuple[str, ...] = ()
    timeout: float | None = None
    retry: Retry | None = None
    result_ttl: float | None = None
    max_crashes: int | None = None

    @classmethod
    def make(cls, call: str = "", /, **given: Unpack[OptionValues]) -> "Options":
        """Raises ConfigurationError for a name or a value that is none; None counts as not said.

        `call` is who was given them, as the error names it.
        """
        values = checked(call, given, _CHECKS)
        if values.keys() >= {"at", "delay"}:
            raise ConfigurationError(f"{call}{': ' * bool(call)}give at or delay, not both")
        return cls(**values)


def checked(call: str, given: Mapping[str, Any], checks: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    """The checked form of the options that are not None. Raises ConfigurationError for a name or a value that is none.

    `call` is who was given them, as the error names it; a check raises ValueError or TypeError.
    """
    place = f"{call}: " if call else ""
    values: dict[str, Any] = {}
    for name, value in given.items():
        check = checks.get(name)
        if check is None:
            raise ConfigurationError(f"{place}{name}: no such option{did_you_mean(name, checks)}")
        try:
            if value is not None:
                values[name] = check(value)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"{place}{name}: {error}") from error
    return values


def check_queue(name: str) -> str:
    """The name itself. Raises ValueError when a queue cannot be called so: a brace would split its keys."""
    if not isinstance(name, str) or len(name) > QUEUE_LIMIT or not _QUEUE.fullmatch(name):
        raise ValueError(f"{name!r} cannot be a queue: 1 to {QUEUE_LIMIT} letters, digits, and -_. between them")
    return name


def _priority(given: str) -> str:
    if given not in tuple(Priority):
        raise ValueError(f"{given!r} is none: write high, normal or low")
    return str(Priority(given))


def _moment(at: datetime) -> float:
    if not isinstance(at, datetime):
        raise TypeError(f"{at!r} is no moment: write datetime.now(UTC) + timedelta(hours=1)")
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} has no time zone: give it one, as in datetime.now(UTC)")
    return at.timestamp()


def _tags(given: Sequence[str]) -> tuple[str, ...]:
    found = () if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)
    if not all(isinstance(each, str) for each in found) or (given and not found):
        raise ValueError(f"{given!r} is no list of strings")
    return found


def _retry(given: Retry) -> Retry:
    if not isinstance(given, Retry):
        raise TypeError(f"{given!r} is no Retry: write Retry(max_attempts=5)")
    if inspect.iscoroutinefunction(given.function):
        raise ValueError(f"its function {given.function.__name__} is async, and nobody awaits it: write a plain one")
    return given


def at_least_one(given: int) -> int:
    """The number itself. Raises ValueError when it is none from 1 on."""
    if not isinstance(given, int) or isinstance(given, bool) or given < 1:
        raise ValueError(f"{given!r} is no number from 1 on")
    return given


def _timeout(given: Span) -> float:
    if not (seconds := parse_duration(given)):
        raise ValueError("0 leaves a job no time at all")
    return seconds


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "queue": check_queue,
    "priority": _priority,
    "tags": _tags,
    "timeout": _timeout,
    "retry": _retry,
    "result_ttl": parse_duration,
    "max_crashes": at_least_one,
    "delay": parse_duration,
    "at": _moment,
    "id": check_id,
}
"""What each option must be, and its checked form."""
