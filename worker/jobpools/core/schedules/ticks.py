"""The ticks of one pass: which of the due ones are fired, and which are counted as missed."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from jobpools.core.schedules.code_specs import CodeSpec
from jobpools.core.schedules.expression import parse_cron
from jobpools.core.schedules.facts import ScheduleFacts
from jobpools.core.schedules.reasons import MissedReason
from jobpools.core.schedules.specs import CatchUp, ConcurrencyPolicy, ScheduleSpec

MAX_FIRES: Final = 100
"""Maximum number of fires of one schedule in one pass, with `catchUp: All`."""
MAX_TICKS: Final = 1000
"""Maximum number of ticks of one schedule in one pass; the next pass follows at once."""
_FLOAT_ERROR: Final = 0.001
"""Ms by which an instant that is a float of seconds may be too low; the real error is smaller."""
MAX_LATENESS: Final = 30.0
"""Maximum seconds after its due time at which a tick is still on time: a standby needs less to take over."""


@dataclass(frozen=True, slots=True)
class Ticks:
    """The ticks of a spec: those of its cron expression, or its single time."""

    between: Callable[[float, float, int], list[float]]
    """Returns at most so many ticks later than one instant and at or before another one, oldest first."""
    after: Callable[[float], float | None]
    """Returns the first tick later than an instant; None: there is none."""

    @classmethod
    def of(cls, spec: ScheduleSpec) -> "Ticks":
        """Return the ticks of a spec. Raises SpecError if its cron expression or time zone is invalid."""
        if spec.at is not None:
            at = _to_milliseconds(spec.at.timestamp())
            return cls(
                lambda after, until, limit: [at][:limit] if after < at <= until else [],
                lambda instant: at if instant < at else None,
            )
        if isinstance(spec, CodeSpec) and spec.every is not None:
            return cls.at_interval(round(spec.every * 1000))
        cron = parse_cron(spec.schedule or "", spec.time_zone)
        return cls(cron.between, cron.after)

    @classmethod
    def at_interval(cls, interval: int) -> "Ticks":
        """Return the ticks at the multiples of an interval in ms since the epoch."""

        def after(instant: float) -> float:
            return (_milliseconds(instant) // interval + 1) * interval / 1000

        def between(after: float, until: float, limit: int) -> list[float]:
            first = _milliseconds(after) // interval + 1
            last = min(_milliseconds(until) // interval, first + limit - 1)
            return [number * interval / 1000 for number in range(first, last + 1)]

        return cls(between, after)


def _milliseconds(instant: float) -> int:
    """Return an instant in whole ms. A float that a number of ms was converted to may be a little less."""
    return math.floor(instant * 1000 + _FLOAT_ERROR)


def _to_milliseconds(tick: float) -> float:
    """Return a tick without fractions of a millisecond, as Redis stores it."""
    return math.floor(tick * 1000) / 1000


@dataclass(frozen=True, slots=True)
class MissedTick:
    """A tick that is counted as missed."""

    due: float
    reason: MissedReason


@dataclass(frozen=True, slots=True)
class ChosenTicks:
    """The ticks that one pass handles."""

    fires: tuple[float, ...] = ()
    missed: tuple[MissedTick, ...] = ()
    has_more: bool = False
    """Whether more ticks are due than one pass handles."""

    @property
    def handled(self) -> float | None:
        """Return the latest of the ticks; None: there is none."""
        return max((*self.fires, *(tick.due for tick in self.missed)), default=None)


def choose_ticks(
    spec: ScheduleSpec, ticks: Ticks, facts: ScheduleFacts, now: float, requested: Sequence[float] = ()
) -> ChosenTicks:
    """Divide the due ticks into those to fire and those that are missed.

    Args:
        spec: The schedule's spec.
        ticks: Its ticks.
        facts: What is known of it.
        now: Seconds since the epoch.
        requested: Additional ticks to fire, in seconds since the epoch.
    """
    due = ticks.between(facts.handled_until, now, MAX_TICKS + 1)
    has_more, due = len(due) > MAX_TICKS, due[:MAX_TICKS]
    if not has_more and not spec.suspend:
        additional = (tick for tick in map(_to_milliseconds, requested) if (facts.last_due or 0.0) < tick <= now)
        due = sorted({*due, *additional})
    reasons = [(tick, _why_too_late(spec, now - tick)) for tick in due]
    too_late = [MissedTick(tick, reason) for tick, reason in reasons if reason is not None]
    in_time = [tick for tick, reason in reasons if reason is None]
    fires, not_allowed = _apply_policies(spec, in_time, is_running=bool(facts.unfinished), has_more=has_more)
    if len(fires) > MAX_FIRES:
        # Missed ticks are older than fired ones, so the next pass begins with the first tick that is left out here.
        fires, has_more = fires[:MAX_FIRES], True
    return ChosenTicks(tuple(fires), (*too_late, *not_allowed), has_more)


def _why_too_late(spec: ScheduleSpec, delay: float) -> MissedReason | None:
    """Return why a tick must not be fired `delay` seconds after its due time; None: it may be fired."""
    if spec.suspend:
        return MissedReason.SUSPENDED
    if spec.starting_deadline_seconds is not None and delay > spec.starting_deadline_seconds:
        return MissedReason.DEADLINE_EXCEEDED
    return MissedReason.NOT_CAUGHT_UP if spec.catch_up is CatchUp.NONE and delay > MAX_LATENESS else None


def _apply_policies(
    spec: ScheduleSpec, ticks: list[float], *, is_running: bool, has_more: bool
) -> tuple[list[float], list[MissedTick]]:
    """Divide ticks by `catchUp` and `concurrencyPolicy` into those to fire and the missed ones."""
    missed: list[MissedTick] = []
    if spec.catch_up is not CatchUp.ALL:
        # If more ticks are due, the latest of all is not among these.
        latest = [] if has_more else ticks[-1:]
        missed = _missed(ticks[: len(ticks) - len(latest)], MissedReason.NOT_CAUGHT_UP)
        ticks = latest
    match spec.concurrency_policy:
        case ConcurrencyPolicy.FORBID:
            fires = [] if is_running else ticks[:1]
            return fires, [*missed, *_missed(ticks[len(fires) :], MissedReason.FORMER_STILL_RUNS)]
        case ConcurrencyPolicy.REPLACE:
            return ticks[-1:], [*missed, *_missed(ticks[:-1], MissedReason.REPLACED)]
        case _:
            return ticks, missed


def _missed(ticks: list[float], reason: MissedReason) -> list[MissedTick]:
    return [MissedTick(tick, reason) for tick in ticks]
