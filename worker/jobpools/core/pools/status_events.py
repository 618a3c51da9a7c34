"""Events for conditions that changed between two passes."""

from collections.abc import Mapping
from typing import Any, Final

from jobpools.core.conditions import condition, status_word
from jobpools.core.events import Event
from jobpools.core.pools.reasons import ConditionType, Reason
from jobpools.core.pools.status import PoolStatus

BAD_STATUS: Final = {ConditionType.READY: False, ConditionType.DEGRADED: True, ConditionType.ALERTING: True}
"""Conditions whose change is reported, and the status that is reported as a warning."""
RECOVERED: Final = {
    ConditionType.READY: Reason.READY_AGAIN,
    ConditionType.DEGRADED: Reason.DEGRADED_OVER,
    ConditionType.ALERTING: Reason.ALERTING_OVER,
}
EXPECTED: Final = frozenset({Reason.WORKERS_STARTING, Reason.PAUSED})
"""Reasons of not being ready that need no warning."""


def condition_events(before: Mapping[str, Any] | None, after: PoolStatus) -> tuple[Event, ...]:
    """Return a warning for each condition that became bad or changed its reason, and an event for each that recovered.

    Args:
        before: The object's status as last written.
        after: The status of this pass.
    """
    found: list[Event] = []
    for kind, bad in BAD_STATUS.items():
        old, new = condition(before, kind), after.condition(kind)
        was_bad = old.get("status") == status_word(bad) and old.get("reason") not in EXPECTED
        is_bad = new["status"] == status_word(bad) and new["reason"] not in EXPECTED
        if is_bad and (not was_bad or old.get("reason") != new["reason"]):
            found.append(Event(new["reason"], new["message"], warning=True))
        elif was_bad and not is_bad and new["status"] != "Unknown":
            found.append(Event(RECOVERED[kind], f"no longer {old.get('reason')}"))
    return tuple(found)
