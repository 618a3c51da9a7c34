"""Durations in the form `90s`, `1h30m` or `250ms`."""

import re
from datetime import timedelta

MAX_DURATION = 36500 * 86400.0
"""Maximum duration in seconds, a hundred years: beyond it the arithmetic of clocks and servers overflows."""
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$"
"""Pattern of a duration in the CRDs: `90s`, `1h30m`, `250ms`."""


def parse_duration(value: str | float | timedelta) -> float:
    """Return the seconds of `"1h30m"`, `"250ms"`, a number of seconds or a timedelta.

    Raises:
        ValueError: It has another form, is negative, or longer than MAX_DURATION.
    """
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, str):
        if not re.fullmatch(DURATION_PATTERN, value):
            raise ValueError(
                f"{value!r} is not a duration; write a number and a unit (ms, s, m, h, d), as in 90s or 1h30m"
            )
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))
    else:
        try:
            seconds = float("nan" if isinstance(value, bool) else value)
        except TypeError as error:
            raise ValueError(f"{value!r} is not a duration; use seconds, a timedelta, or text such as 90s") from error
        except OverflowError as error:  # the digits of such an integer may be more than Python converts to text
            raise ValueError("the number is not a duration; it must be from 0 to 36500d") from error
    if not 0 <= seconds <= MAX_DURATION:
        raise ValueError(f"{value!r} is not a duration; it must be from 0 to 36500d")
    return seconds


_STEPS = (("d", 86400.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0))


def format_duration(seconds: float) -> str:
    """Return a duration with at most two units, as in `2d4h`, `1h30m`, `90s`, `2.5s`, `250ms`."""
    if 0 < seconds < 1:
        return f"{round(seconds * 1000)}ms"
    if seconds < 2 * _UNITS["m"]:
        return f"{seconds:.3g}s"
    at = next(i for i, (_, size) in enumerate(_STEPS) if seconds >= size)
    (unit, size), (smaller, below) = _STEPS[at], _STEPS[at + 1]
    whole, rest = divmod(round(seconds / below), round(size / below))
    return f"{whole}{unit}{rest}{smaller}" if rest else f"{whole}{unit}"


def format_latency(seconds: float | None) -> str:
    """Return a duration with two or three digits, as in `0.25ms`, `42ms`, `1.3s`; `-` for None."""
    if seconds is None:
        return "-"
    ms = seconds * 1000
    return format_duration(seconds) if ms >= 1000 else f"{ms:.0f}ms" if ms >= 10 else f"{ms:.2g}ms"  # noqa: PLR2004  # digits


def format_rate(per_second: float) -> str:
    """Return a rate with three digits, or all digits before the point, as in `0.0222`, `12`, `1234`."""
    return f"{per_second:.0f}" if per_second >= 100 else f"{per_second:.3g}"  # noqa: PLR2004  # three digits
