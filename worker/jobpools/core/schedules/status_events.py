"""Events of a schedule: a problem when it begins, missed ticks, and cancelled jobs."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from jobpools.core.conditions import condition
from jobpools.core.events import Event
from jobpools.core.schedules.facts import FiredJob
from jobpools.core.schedules.reasons import Place, ScheduleReason
from jobpools.core.schedules.status import ConditionDecision, Status
from jobpools.core.schedules.ticks import MissedTick
from jobpools.core.text.plurals import count_of
from jobpools.core.text.timestamps import timestamp

EXPECTED: Final = frozenset({ScheduleReason.SUSPENDED})
"""Reasons of not being ready that need no warning."""


def condition_events(before: Status | None, ready: ConditionDecision) -> tuple[Event, ...]:
    """Return a warning if `Ready` became False or changed its reason; a suspended schedule is not a problem."""
    is_problem = ready.value is False and ready.reason not in EXPECTED
    if not is_problem or condition(before, Place.READY).get("reason") == ready.reason:
        return ()
    return (Event(ready.reason, ready.message, warning=True),)


def tick_events(missed: Sequence[MissedTick], replaced: Sequence[FiredJob]) -> tuple[Event, ...]:
    """Return the events of missed ticks and of the jobs that a fire cancels."""
    events: list[Event] = []
    if missed:
        events.append(Event(ScheduleReason.MISSED, describe_missed(missed), warning=True))
    if replaced:
        jobs = ", ".join(job.id for job in replaced)
        events.append(Event(ScheduleReason.REPLACED, f"cancelled {jobs} because the next tick is due"))
    return tuple(events)


def describe_missed(missed: Sequence[MissedTick]) -> str:
    """Return a text such as `3 ticks missed up to 2027-01-01T00:00:00Z because catchUp does not include them`."""
    counts = Counter(tick.reason for tick in missed)
    ticks, last = count_of(len(missed), "tick"), timestamp(max(tick.due for tick in missed))
    if len(counts) == 1:
        (reason,) = counts
        return f"{ticks} missed up to {last} because {reason.because}"
    causes = ", ".join(f"{count} because {reason.because}" for reason, count in counts.items())
    return f"{ticks} missed up to {last}: {causes}"
