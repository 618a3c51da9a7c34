"""The plan of a pass over a schedule: each tick is fired once or missed once, whatever happens to the leader."""

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from jobpools.core.jobs.job import JobState
from jobpools.core.reasons import SharedReason
from jobpools.core.schedules.expression import CronExpression
from jobpools.core.schedules.facts import FiredJob, ScheduleFacts
from jobpools.core.schedules.plan import plan_schedule
from jobpools.core.schedules.reasons import MissedReason, ScheduleReason
from jobpools.core.schedules.requeue import RETRY_INTERVAL
from jobpools.core.schedules.specs import Schedule
from jobpools.core.schedules.ticks import MAX_FIRES, MAX_TICKS
from tests.support.schedules import MINUTE, RUNNING, T0, after, make_schedule, schedule_facts


@pytest.mark.parametrize(
    ("spec", "facts", "late", "fires", "missed", "reason"),
    [
        ({}, schedule_facts(), 30, 0, 0, ScheduleReason.SCHEDULED),
        ({}, schedule_facts(), 60, 1, 0, ScheduleReason.FIRED),
        ({}, schedule_facts(), 305, 1, 4, ScheduleReason.FIRED),
        ({"suspend": True}, schedule_facts(), 125, 0, 2, MissedReason.SUSPENDED),
        ({"startingDeadlineSeconds": 3}, schedule_facts(), 304, 0, 5, MissedReason.DEADLINE_EXCEEDED),
        ({"schedule": "99 * * * *"}, schedule_facts(), 600, 0, 0, ScheduleReason.INVALID_SCHEDULE),
        ({}, None, 600, 0, 0, SharedReason.REDIS_UNKNOWN),
    ],
)
def test_the_decision_of_a_pass(  # a row of the table
    spec: dict[str, Any], facts: ScheduleFacts | None, late: float, fires: int, missed: int, reason: str
) -> None:
    plan = plan_schedule(make_schedule(**spec), facts, T0 + late, None)
    assert (len(plan.fires), plan.missed) == (fires, missed)
    assert (plan.decision.value, plan.decision.reason) == (fires, reason)
    assert plan.decision.message


def test_replace_cancels_all_jobs_that_have_not_ended() -> None:
    jobs = (FiredJob("fire-0", "other", "scheduled"), RUNNING)
    plan = plan_schedule(make_schedule(concurrencyPolicy="Replace"), schedule_facts(jobs=jobs), T0 + 60, None)
    (fire,) = plan.fires
    assert fire.replaces == jobs
    assert [job.id for job in plan.jobs] == [fire.id]


def test_a_requested_fire_is_planned_once_in_addition_to_the_ticks() -> None:
    plan = plan_schedule(make_schedule(), schedule_facts(), T0 + 30, None, requested=[T0 + 30])
    assert [fire.due for fire in plan.fires] == [T0 + 30]
    known = after(schedule_facts(), plan)
    assert plan_schedule(make_schedule(), known, T0 + 31, None, requested=[T0 + 30]).fires == ()
    later = plan_schedule(make_schedule(), known, T0 + 60, None, requested=[T0 + 30])
    assert [fire.due for fire in later.fires] == [T0 + 60]


def test_while_redis_cannot_be_read_no_tick_is_handled() -> None:
    plan = plan_schedule(make_schedule(), None, T0 + 130, None, problem="redis://r: cannot be reached")
    assert (plan.fires, plan.handled, plan.missed) == ((), None, 0)
    assert plan.next_pass == T0 + 130 + RETRY_INTERVAL


def test_a_suspended_schedule_has_a_pass_at_each_tick() -> None:
    plan = plan_schedule(make_schedule(suspend=True), schedule_facts(), T0 + 30, None)
    assert plan.next_due == plan.next_pass == T0 + 60, "ticks that become due are counted as missed"


def test_many_overdue_ticks_are_handled_in_bounded_passes() -> None:
    now = T0 + 3.5 * MAX_TICKS * MINUTE + 1
    for policy, fired in (("Latest", 1), ("None", 1), ("All", 3500)):
        known, passes, check = schedule_facts(fired=0, missed=0), 0, now
        while check == now:
            plan = plan_schedule(make_schedule(catchUp=policy), known, now, None)
            assert len(plan.fires) <= MAX_FIRES
            known, passes, check = after(known, plan), passes + 1, plan.next_pass
        assert (known.fired, known.fired + known.missed) == (fired, 3500)
        assert passes == (35 if policy == "All" else 4)


SCHEDULES = ["* * * * *", "*/7 * * * *", "0 * * * *", "30 2 * * *", "15,45 */2 * * 1-5"]


@settings(max_examples=60)
@given(
    spec=st.fixed_dictionaries(
        {
            "schedule": st.sampled_from(SCHEDULES),
            "timeZone": st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata"]),
            "catchUp": st.sampled_from(["None", "Latest", "All"]),
            "concurrencyPolicy": st.sampled_from(["Allow", "Forbid", "Replace"]),
            "startingDeadlineSeconds": st.none() | st.integers(1, 4000),
            "suspend": st.booleans(),
        }
    ),
    steps=st.lists(
        st.tuples(
            st.floats(-7200, 10_000),  # the clock's step until this pass
            st.sampled_from(["recorded", "lost", "late"]),
            st.sampled_from(list(JobState)),
        ),
        min_size=1,
        max_size=12,
    ),
)
def test_every_tick_is_fired_or_missed_exactly_once(
    spec: dict[str, Any], steps: list[tuple[float, str, JobState]]
) -> None:
    """Leaders change and clocks jump; a leader may end before it records its pass, or record it too late."""
    made, known, now = make_schedule(**spec), ScheduleFacts(created=T0), T0
    enqueued: set[str] = set()
    fired: list[float] = []
    for step, end, state in steps:
        now = max(T0 + 1, now + step)
        plan = plan_schedule(made, known, now, None)
        for fire in plan.fires:
            assert T0 < fire.due <= now
            assert fire.due > (known.last_due or 0)
            if fire.id not in enqueued:  # `enqueue` refuses a known id
                enqueued.add(fire.id)
                fired.append(fire.due)
        if end == "late":  # another leader saw the same facts and recorded its pass first
            rival = plan_schedule(made, known, now + 100, None)
            enqueued |= {fire.id for fire in rival.fires}
            fired += [fire.due for fire in rival.fires if fire.due not in fired]
            known = after(known, rival, str(state))
        elif end == "recorded":
            known = after(known, plan, str(state))
    assert len(fired) == len(set(fired)), "no tick was fired twice"

    # A leader that lives long enough handles the rest.
    end_of_time, check = now, now
    while check <= end_of_time:
        plan = plan_schedule(made, known, end_of_time, None)
        known, check = after(known, plan, "completed"), plan.next_pass
    schedule_ticks = _ticks(made, max(now, known.last_due or 0))
    assert known.fired + known.missed == len(schedule_ticks), "each tick was fired or counted as missed, once"


def _ticks(made: Schedule, until: float) -> list[float]:
    return CronExpression(made.spec.schedule or "", made.spec.time_zone).between(T0, until, 100_000)
