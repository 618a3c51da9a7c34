"""When the next pass over a schedule is due."""

from typing import Final

from jobpools.core.schedules.facts import ScheduleFacts

MIN_CHECK_INTERVAL: Final = 2.0
"""Minimum seconds between two reads of a fired job's state; the interval doubles with the job's age."""
MAX_CHECK_INTERVAL: Final = 300.0
"""Maximum seconds between two reads of a fired job's state."""
RETRY_INTERVAL: Final = 2.0
"""Seconds to the next pass when Redis could not be read or written."""
IDLE_INTERVAL: Final = 3600.0
"""Seconds to the next pass when no tick will follow."""


def next_pass(facts: ScheduleFacts, next_due: float | None, now: float) -> float:
    """Return when the next pass is due: at the next tick, or earlier to read the states of unfinished jobs."""
    tick = now + IDLE_INTERVAL if next_due is None else next_due
    if facts.last_fire is None or not facts.unfinished:
        return tick
    return min(tick, now + min(max(MIN_CHECK_INTERVAL, now - facts.last_fire), MAX_CHECK_INTERVAL))
