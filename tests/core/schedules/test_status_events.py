"""Which events a pass over a schedule reports."""

import pytest

from jobpools.core.events import Event
from jobpools.core.schedules.plan import plan_schedule
from jobpools.core.schedules.reasons import Place, ScheduleReason
from jobpools.core.text.timestamps import timestamp
from tests.support.schedules import RUNNING, T0, make_schedule, schedule_facts


@pytest.mark.parametrize(
    ("spec", "known", "reason"),
    [
        ({"schedule": "* * *"}, {}, ScheduleReason.INVALID_SCHEDULE),
        ({"at": timestamp(T0 - 999)}, {"handled": None}, ScheduleReason.PAST),
        ({}, {"handled": T0 + 999}, ScheduleReason.CLOCK_BEHIND),
    ],
)
def test_a_problem_is_a_warning_when_it_begins(
    spec: dict[str, str], known: dict[str, float | None], reason: ScheduleReason
) -> None:
    facts = schedule_facts(**known)
    first = plan_schedule(make_schedule(**spec), facts, T0, None)
    assert [(event.reason, event.warning) for event in first.events] == [(reason, True)]
    assert plan_schedule(make_schedule(**spec), facts, T0 + 1, first.status).events == ()
    assert Place.EVENTS in reason.places


def test_a_suspended_schedule_reports_no_event() -> None:
    assert plan_schedule(make_schedule(suspend=True), schedule_facts(), T0 + 125, None).events == ()
    assert Place.EVENTS not in ScheduleReason.SUSPENDED.places


def test_missed_ticks_are_reported_with_their_reasons() -> None:
    plan = plan_schedule(make_schedule(startingDeadlineSeconds=100), schedule_facts(), T0 + 245, None)
    message = (
        "3 ticks missed up to 2026-11-25T12:03:00Z: 2 because startingDeadlineSeconds had passed, "
        "1 because catchUp does not include them"
    )
    assert plan.events == (Event(ScheduleReason.MISSED, message, warning=True),)
    plan = plan_schedule(make_schedule(), schedule_facts(), T0 + 185, None)
    assert plan.events[0].message == "2 ticks missed up to 2026-11-25T12:02:00Z because catchUp does not include them"


def test_cancelled_jobs_are_reported() -> None:
    plan = plan_schedule(make_schedule(concurrencyPolicy="Replace"), schedule_facts(jobs=(RUNNING,)), T0 + 60, None)
    assert plan.events == (Event(ScheduleReason.REPLACED, "cancelled fire-1 because the next tick is due"),)
