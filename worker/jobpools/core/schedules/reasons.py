"""Every reason that jobpools gives about a schedule.

`make generate` writes the CronJobSpec's part of docs/conditions.md from the docstrings of `ScheduleReason`.
"""

from enum import StrEnum
from typing import Self


class Place(StrEnum):
    """A part of a CronJobSpec in which users see a reason."""

    READY = "Ready"
    """True: the schedule fires at its next tick, or its single time is over."""
    EVENTS = "Events"
    """A problem is reported as a warning with the reason of `Ready` when it begins. A fire is not an event:
    `status.fired` and `status.lastJob` show it."""


class ScheduleReason(StrEnum):
    """One stable CamelCase word that users may match on; `places` lists where it occurs (none: in decisions only)."""

    places: tuple[Place, ...]

    def __new__(cls, value: str, *places: Place) -> Self:
        """Create a reason from its word and the places in which it occurs."""
        reason = str.__new__(cls, value)
        reason._value_, reason.places = value, places
        return reason

    SCHEDULED = "Scheduled", Place.READY
    """The schedule is active. `status.nextScheduleTime` is its next tick."""
    FINISHED = "Finished", Place.READY
    """The time in `spec.at` is over, and its tick was fired or counted as missed."""
    SUSPENDED = "Suspended", Place.READY
    """`spec.suspend` is true: ticks that become due are counted as missed."""
    PAST = "Past", Place.READY, Place.EVENTS
    """The time in `spec.at` was over before the schedule was first seen, so it never fires."""
    INVALID_SCHEDULE = "InvalidSchedule", Place.READY, Place.EVENTS
    """`spec.schedule` or `spec.timeZone` is invalid, so nothing is fired. The message says what is wrong."""
    CLOCK_BEHIND = "ClockBehind", Place.READY, Place.EVENTS
    """Future ticks are recorded as handled, so nothing fires before they are over: the clock of Redis is wrong now, or
    was wrong before."""
    MISSED = "Missed", Place.EVENTS
    """Ticks were counted as missed instead of being fired. The message says how many, and why."""
    REPLACED = "Replaced", Place.EVENTS
    """`concurrencyPolicy: Replace`: unfinished jobs of earlier ticks were cancelled because a tick is due."""
    FIRED = ("Fired",)
    """Jobs were enqueued."""


class MissedReason(StrEnum):
    """One word for the cause that a tick is counted as missed instead of being fired."""

    because: str
    """The cause in words, for the message of the event Missed."""

    def __new__(cls, value: str, because: str) -> Self:
        """Create a reason from its word and the words for messages."""
        reason = str.__new__(cls, value)
        reason._value_, reason.because = value, because
        return reason

    SUSPENDED = "Suspended", "the schedule was suspended"
    """`suspend` was true."""
    DEADLINE_EXCEEDED = "DeadlineExceeded", "startingDeadlineSeconds had passed"
    """The tick could not be fired within `startingDeadlineSeconds`."""
    NOT_CAUGHT_UP = "NotCaughtUp", "catchUp does not include them"
    """The tick could not be fired in time, and `catchUp` does not allow to fire it late."""
    FORMER_STILL_RUNS = "FormerStillRuns", "the previous job had not ended"
    """`concurrencyPolicy: Forbid`, and the job of the previous tick had not ended."""
    REPLACED = "Replaced", "a later tick replaced them"
    """`concurrencyPolicy: Replace`, and a later tick was due in the same pass."""
