"""Cron expressions in a time zone: the instants at which they are due, daylight saving included.

A tick is an instant, in seconds since the epoch. Where the clocks jump, the rules are those of Vixie cron, made exact:

    the schedule's minute and hour    local time that does not exist    local time that comes twice
    both fixed, as in `30 2 * * *`    fires once, when the clocks jump  fires once, the first time
    a `*` in one, as in `0 * * * *`   is skipped: no hour was lost      fires both times: no hour is left out

Day of month and day of week follow Vixie cron, too: where both are given, either is enough, unless one of them begins
with `*` (or is `?`): then both must match. `*/2` begins with a star.
"""

import difflib
import functools
import re
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from croniter import CroniterBadDateError, CroniterError, croniter

from jobpools.core.text.error_text import first_line
from jobpools.errors import SpecError

FIELDS: Final = 5
"""Number of fields: minute, hour, day of month, month and day of week."""
MACROS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_RANDOM: Final = re.compile(r"(?:^|,)[rh](?:$|[,/(])", re.IGNORECASE)
_LAST_WEEKDAY: Final = re.compile(r"(?<![\w#])([0-7])L(?!\w)", re.IGNORECASE)
"""The last such weekday of a month: `5L` in Quartz and cronsim, `L5` in croniter."""
_STAR_SIGNS: Final = "*?"
_DAY = timedelta(days=1)
_FIRST_SPAN = 60.0
"""First number of seconds to search back for the latest tick; doubled until one is found."""


def load_time_zone(name: str) -> zoneinfo.ZoneInfo:
    """Return the IANA time zone of this name. Raises SpecError, with a similar name if there is one."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        by_lower = {known.lower(): known for known in zoneinfo.available_timezones()}
        close = difflib.get_close_matches(name.strip().lower().replace(" ", "_"), by_lower, n=1, cutoff=0.6)
        meant = f"; did you mean {by_lower[close[0]]}?" if close else "; use an IANA name such as Europe/Berlin"
        raise SpecError(f"timeZone {name!r} is unknown{meant}") from error


class CronExpression:
    """One cron expression in one time zone. Raises SpecError if either is invalid."""

    def __init__(self, expression: str, time_zone: str = "UTC") -> None:
        fields = _fields(expression)
        self.expression = expression
        self.zone = load_time_zone(time_zone)
        self._fixed = "*" not in fields[0] and "*" not in fields[1]
        self._cached_after = functools.lru_cache(maxsize=8)(self._first_after)
        """A pass needs the tick after some instants more than once."""
        try:
            iterators = [_iterator(each) for each in _alternatives(fields)]
        except (CroniterError, ValueError, KeyError, IndexError) as error:
            raise SpecError(f"schedule {expression!r} is not a cron expression: {first_line(error)}") from error
        self._iterators = [each for each in iterators if each is not None]
        """A tick is a time of at least one of them."""
        if not self._iterators:
            raise SpecError(f"schedule {expression!r} never fires: there is no such date; correct the day or the month")

    def after(self, instant: float) -> float | None:
        """Return the first tick later than `instant`; None: no tick follows before the year 10000."""
        return self._cached_after(instant)

    def _first_after(self, instant: float) -> float | None:
        now = datetime.fromtimestamp(instant, self.zone)
        tomorrow = now.astimezone(UTC) + _DAY
        set_back = (now.utcoffset() or timedelta()) - (tomorrow.astimezone(self.zone).utcoffset() or timedelta())
        if not set_back:
            found = self._next_local_time(now.replace(tzinfo=None))
            instants = () if found is None else self._instants(found)
            if len(instants) == 1:
                return instants[0]
        return self._search(instant, now.replace(tzinfo=None), max(set_back, timedelta()))

    def latest(self, instant: float, since: float = 0.0) -> float | None:
        """Return the last tick at or before `instant` and later than `since`; None: there is none."""
        span = _FIRST_SPAN
        while True:
            start = max(instant - span, since)
            found = list(self._ticks(start, instant))
            if found or start <= since:
                return found[-1] if found else None
            span *= 2

    def between(self, after: float, until: float, limit: int) -> list[float]:
        """Return at most `limit` ticks later than `after` and at or before `until`, oldest first."""
        ticks: list[float] = []
        for tick in self._ticks(after, until):
            ticks.append(tick)
            if len(ticks) == limit:
                break
        return ticks

    def _ticks(self, after: float, until: float) -> Iterator[float]:
        tick = self.after(after)
        while tick is not None and tick <= until:
            yield tick
            tick = self.after(tick)

    def _next_local_time(self, after: datetime) -> datetime | None:
        """Return the next matching local time, without regard to the zone."""
        found = (_next(each, after) for each in self._iterators)
        return min((each for each in found if each is not None), default=None)

    def _search(self, instant: float, local: datetime, set_back: timedelta) -> float | None:
        """Return the first tick later than `instant` near a change of the clocks.

        There a later local time may be an earlier instant.
        """
        wall, best = self._next_local_time(local - set_back - timedelta(seconds=1)), None
        horizon = None
        while wall is not None and (horizon is None or wall <= horizon):
            later = [tick for tick in self._instants(wall) if tick > instant]
            if later and (best is None or min(later) < best):
                best = min(later)
                horizon = horizon or wall + set_back
            wall = self._next_local_time(wall)
        return best

    def _instants(self, wall: datetime) -> tuple[float, ...]:
        """Return the instants of a local time: one, two where the clock is set back, none or one in a gap."""
        first = wall.replace(tzinfo=self.zone)
        second = first.replace(fold=1)
        earlier, later = first.timestamp(), second.timestamp()
        if earlier == later:
            return (earlier,)
        if datetime.fromtimestamp(earlier, self.zone).replace(tzinfo=None) == wall:
            return (earlier,) if self._fixed else (earlier, later)
        return (self._clock_change(later, earlier),) if self._fixed else ()

    def _clock_change(self, before: float, after: float) -> float:
        """Return the instant in (before, after] at which the offset changes, to the second."""
        old = datetime.fromtimestamp(before, self.zone).utcoffset()
        low, high = int(before), int(after)
        while high - low > 1:
            middle = (low + high) // 2
            if datetime.fromtimestamp(middle, self.zone).utcoffset() == old:
                low = middle
            else:
                high = middle
        return float(high)


@functools.lru_cache(maxsize=20_000)
def parse_cron(expression: str, time_zone: str = "UTC") -> CronExpression:
    """Return the CronExpression from a cache: each pass needs the same ones.

    Not safe to call from several threads at once.
    """
    return CronExpression(expression, time_zone)


def _alternatives(fields: list[str]) -> list[list[str]]:
    """Return expressions of which a tick matches at least one. Each of them requires that both its day fields match.

    Vixie cron's rule: a day of month and a day of week are alternatives, unless one of the fields begins with a star.
    """
    minute, hour, day, month, weekday = fields
    if day[0] in _STAR_SIGNS or weekday[0] in _STAR_SIGNS:
        return [fields]
    return [[minute, hour, day, month, "*"], [minute, hour, "*", month, weekday]]


def _iterator(fields: list[str]) -> "croniter[datetime] | None":
    """Return an iterator over the times at which both day fields match; None: no such date exists."""
    try:
        iterator = croniter(" ".join(fields), datetime(2024, 1, 1), ret_type=datetime, day_or=False)  # noqa: DTZ001  wall clock
        iterator.get_next()
    except CroniterBadDateError:
        return None
    return iterator


def _next(iterator: "croniter[datetime]", after: datetime) -> datetime | None:
    try:
        found: datetime = iterator.get_next(start_time=after)
    except (CroniterBadDateError, OverflowError, ValueError):
        return None
    return found


def _fields(expression: str) -> list[str]:
    text = MACROS.get(expression.strip().lower(), expression)
    fields = text.split()
    if fields and fields[0].upper().startswith(("TZ=", "CRON_TZ=")):
        raise SpecError(f"schedule {expression!r}: the time zone goes into timeZone, not into the expression")
    if fields and fields[0].startswith("@"):
        raise SpecError(f"schedule {expression!r} is unknown; use one of {', '.join(sorted(MACROS))}")
    if len(fields) != FIELDS:
        hint = "; remove the fields for seconds and years" if len(fields) > FIELDS else ""
        raise SpecError(
            f"schedule {expression!r} has {len(fields)} fields, not 5 (minute hour day month weekday){hint}"
        )
    if random_field := next((field for field in fields if _RANDOM.search(field)), None):
        raise SpecError(
            f"schedule {expression!r}: {random_field!r} is a random time, which is not supported; write a fixed time"
        )
    return [*fields[:-1], _LAST_WEEKDAY.sub(r"L\1", fields[-1])]
