"""The words every layer shares: names, durations, and what a decision is."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, NewType, TypeVar

QueueName = NewType("QueueName", str)
JobId = NewType("JobId", str)
WorkerId = NewType("WorkerId", str)
"""`<host>.<nonce>`: the pod's (or process's) name and a random part for each start of it; no ':'."""

T_co = TypeVar("T_co", covariant=True)

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$"
"""What the CRDs accept as a duration: `90s`, `1h30m`, `250ms`."""


@dataclass(frozen=True, slots=True)
class Decision(Generic[T_co]):
    """A value and why it is so: the condition, the event, the log line and the metric label all come from it."""

    value: T_co
    reason: str
    """One CamelCase word, stable: users match on it."""
    message: str
    """One sentence with the figures that led here."""


def parse_duration(value: str | float | timedelta) -> float:
    """Seconds of `"1h30m"`, `"250ms"`, a number of seconds or a timedelta.

    Raises ValueError for anything else and for negative durations.
    """
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, str):
        if not re.match(DURATION_PATTERN, value):
            raise ValueError(
                f"{value!r} is not a duration: write a number and a unit (ms, s, m, h, d), as in 90s or 1h30m"
            )
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))
    else:
        seconds = float(value)
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{value!r} is not a duration: it must be finite and not negative")
    return seconds


def format_duration(seconds: float) -> str:
    """The shortest exact form with at most two units, as in `90s`, `1h30m`, `250ms`; for people."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    whole = round(seconds)
    if whole < 120:
        return f"{seconds:g}s" if seconds < 10 else f"{whole}s"
    for unit, size, below in (("d", 86400, 3600), ("h", 3600, 60), ("m", 60, 1)):
        if whole >= size:
            rest = (whole % size) // below
            smaller = {"d": "h", "h": "m", "m": "s"}[unit]
            return f"{whole // size}{unit}{rest}{smaller}" if rest else f"{whole // size}{unit}"
    raise AssertionError("unreachable: 120 s and more are minutes")  # pragma: no cover
