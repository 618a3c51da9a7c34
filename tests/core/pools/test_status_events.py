"""Which changes of a condition become events."""

from typing import Any

import pytest

from jobpools.core.conditions import Condition
from jobpools.core.pools.reasons import ConditionType, Reason
from jobpools.core.pools.status import PoolStatus
from jobpools.core.pools.status_events import condition_events

WELL = {"Ready": ("True", Reason.WORKING), "Degraded": ("False", Reason.ALL_WELL),
        "Alerting": ("False", Reason.NO_ALERT)}  # fmt: skip
STARTING, BLOCKED = ("False", Reason.WORKERS_STARTING), ("False", "ImagePullBackOff")


def status(**conditions: tuple[str, str]) -> PoolStatus:
    known = WELL | conditions
    found = (Condition(type=kind, status=word, reason=str(why), message="…") for kind, (word, why) in known.items())
    return PoolStatus(1, tuple(found))


@pytest.mark.parametrize(
    ("name", "before", "after", "expected"),
    [
        ("nothing changed", {}, {}, []),
        ("not ready", {}, {"Ready": BLOCKED}, [("ImagePullBackOff", True)]),
        ("still not ready", {"Ready": BLOCKED}, {"Ready": BLOCKED}, []),
        ("not ready for another reason", {"Ready": BLOCKED}, {"Ready": ("False", "ErrImagePull")},
         [("ErrImagePull", True)]),
        ("ready again", {"Ready": BLOCKED}, {}, [(Reason.READY_AGAIN, False)]),
        ("not ready while workers start", {}, {"Ready": STARTING}, []),
        ("ready after workers started", {"Ready": STARTING}, {}, []),
        ("unknown does not count as recovered", {"Ready": BLOCKED}, {"Ready": ("Unknown", Reason.QUEUES_UNKNOWN)}, []),
        ("degraded", {}, {"Degraded": ("True", Reason.REDIS_WARNING)}, [(Reason.REDIS_WARNING, True)]),
        ("no longer degraded", {"Degraded": ("True", Reason.REDIS_WARNING)}, {}, [(Reason.DEGRADED_OVER, False)]),
        ("alerting", {}, {"Alerting": ("True", Reason.LATENCY)}, [(Reason.LATENCY, True)]),
        ("no longer alerting", {"Alerting": ("True", Reason.LATENCY)}, {}, [(Reason.ALERTING_OVER, False)]),
    ],
)  # fmt: skip
def test_events_of_conditions(name: str, before: Any, after: Any, expected: list[tuple[str, bool]]) -> None:
    found = condition_events(status(**before).to_dict(), status(**after))
    assert [(event.reason, event.warning) for event in found] == expected, name


def test_a_new_pool_reports_only_what_is_bad() -> None:
    assert condition_events(None, status()) == ()
    (event,) = condition_events(None, status(Degraded=("True", Reason.REDIS_WARNING)))
    assert event.reason == Reason.REDIS_WARNING
    assert ConditionType.DEGRADED in Reason.REDIS_WARNING.conditions
