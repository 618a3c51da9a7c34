"""A schedule's status: the condition Ready with its reason, and the figures in the form of the CRD."""

from dataclasses import replace
from typing import Any

import pytest

from jobpools.core.conditions import condition
from jobpools.core.reasons import SharedReason
from jobpools.core.schedules.identity import fire_id
from jobpools.core.schedules.plan import plan_schedule
from jobpools.core.schedules.reasons import Place, ScheduleReason
from jobpools.core.text.timestamps import timestamp
from tests.support.schedules import ENDED, RUNNING, T0, after, make_schedule, schedule_facts


@pytest.mark.parametrize(
    ("spec", "known", "status", "reason"),
    [
        ({}, {}, "True", ScheduleReason.SCHEDULED),
        ({"at": timestamp(T0 + 120)}, {}, "True", ScheduleReason.SCHEDULED),
        ({"at": timestamp(T0 + 60)}, {"handled": T0 + 60}, "True", ScheduleReason.FINISHED),
        ({"at": timestamp(T0 - 999)}, {"handled": None}, "False", ScheduleReason.PAST),
        ({"suspend": True}, {}, "False", ScheduleReason.SUSPENDED),
        ({}, {"handled": T0 + 120}, "True", ScheduleReason.SCHEDULED),
        ({}, {"handled": T0 + 999}, "False", ScheduleReason.CLOCK_BEHIND),
        ({}, {"handled": None, "created": T0 + 999}, "False", ScheduleReason.CLOCK_BEHIND),
        ({"schedule": "99 * * * *"}, {}, "False", ScheduleReason.INVALID_SCHEDULE),
        ({"timeZone": "Europe/Atlantis"}, {}, "False", ScheduleReason.INVALID_SCHEDULE),
    ],
)
def test_ready(spec: dict[str, Any], known: dict[str, Any], status: str, reason: ScheduleReason) -> None:
    ready = condition(plan_schedule(make_schedule(**spec), schedule_facts(**known), T0 + 65, None).status, "Ready")
    assert (ready["status"], ready["reason"]) == (status, reason)
    assert ready["message"]
    assert Place.READY in reason.places


def test_while_redis_cannot_be_read_the_figures_are_kept_and_ready_is_unknown() -> None:
    before = plan_schedule(make_schedule(), schedule_facts(), T0 + 60, None).status
    plan = plan_schedule(make_schedule(), None, T0 + 130, before, problem="redis://r: cannot be reached")
    assert {**plan.status, "conditions": 0} == {**before, "conditions": 0}
    ready = condition(plan.status, "Ready")
    assert (ready["status"], ready["reason"]) == ("Unknown", SharedReason.REDIS_UNKNOWN)
    assert ready["message"] == "ticks wait until Redis is available: redis://r: cannot be reached"


def test_the_status_has_the_form_of_the_crd() -> None:
    facts = schedule_facts(jobs=(RUNNING,), last_fire=T0)
    plan = plan_schedule(make_schedule(), facts, T0 + 60, None)
    assert plan.status == {
        "observedGeneration": 3,
        "nextScheduleTime": timestamp(T0 + 120),
        "lastScheduleTime": timestamp(T0 + 60),
        "lastJob": {"id": fire_id("default/tick", T0 + 60), "state": "queued"},
        "active": 2,
        "fired": 6,
        "missed": 2,
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "Scheduled",
                "message": "fires at the times of '* * * * *' in UTC",
                "lastTransitionTime": timestamp(T0 + 60),
                "observedGeneration": 3,
            }
        ],
    }
    later = plan_schedule(make_schedule(), after(schedule_facts(), plan, "completed"), T0 + 90, plan.status)
    assert condition(later.status, "Ready") == condition(plan.status, "Ready"), "the transition time is kept"
    assert later.status["lastJob"]["state"] == "completed"
    assert later.status["active"] == 0


def test_a_reported_final_state_is_kept_when_the_queue_no_longer_knows_the_job() -> None:
    ended = schedule_facts(jobs=(ENDED,), last_fire=T0)
    before = plan_schedule(make_schedule(), ended, T0 + 30, None).status
    unknown = schedule_facts(jobs=(replace(ENDED, state=""),), last_fire=T0)
    known = plan_schedule(make_schedule(), unknown, T0 + 40, before).status["lastJob"]
    assert known == {"id": "fire-1", "state": "completed"}
    assert plan_schedule(make_schedule(), unknown, T0 + 40, None).status["lastJob"] == {"id": "fire-1"}


def test_a_schedule_that_does_not_fire_has_no_next_time() -> None:
    active = plan_schedule(make_schedule(), schedule_facts(), T0 + 30, None).status
    assert "nextScheduleTime" in active
    for spec in ({"suspend": True}, {"schedule": "99 * * * *"}):
        status = plan_schedule(make_schedule(**spec), schedule_facts(), T0 + 30, active).status
        assert "nextScheduleTime" not in status
