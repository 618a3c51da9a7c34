"""When a schedule fires: each tick is fired once or counted as missed once, whatever happens to the one who fires."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from jobpools.core.conditions import condition
from jobpools.core.jobs.job import JobState
from jobpools.core.objects import Meta
from jobpools.core.schedules.actions import SchedulePlan
from jobpools.core.schedules.facts import FiredJob, ScheduleFacts
from jobpools.core.schedules.plan import FIRES, ON_TIME, TICKS, fire_id, plan_schedule, times
from jobpools.core.schedules.specs import Schedule
from jobpools.core.text.timestamps import timestamp
from jobpools.store.job_ids import check_id

T0 = datetime(2026, 11, 25, 12, 0, tzinfo=UTC).timestamp()
MINUTE = 60.0


def schedule(**spec: Any) -> Schedule:
    base: dict[str, Any] = {"job": {"name": "work"}} | ({} if "at" in spec else {"schedule": "* * * * *"})
    return Schedule.model_validate({"meta": {"name": "tick", "generation": 3}, "spec": base | spec})


def facts(handled: float = T0, **known: Any) -> ScheduleFacts:
    return ScheduleFacts(**{"created": T0 - 600, "last_due": handled, "fired": 5, "missed": 2} | known)


def after(before: ScheduleFacts, plan: SchedulePlan, state: str = "queued") -> ScheduleFacts:
    """What is recorded when a plan has been carried out."""
    if plan.handled is None:
        return before
    return replace(
        before,
        last_due=plan.handled,
        last_fire=plan.fires[-1].due if plan.fires else before.last_fire,
        jobs=tuple(replace(job, state=state) for job in plan.jobs),
        fired=before.fired + len(plan.fires),
        missed=before.missed + plan.missed,
    )


RUNNING = (FiredJob("fire-1", "default", "running"),)
ENDED = (FiredJob("fire-1", "default", "completed"),)


@pytest.mark.parametrize(
    ("story", "spec", "known", "late", "fires", "missed", "reason"),
    [
        ("between two ticks nothing happens", {}, {}, 30, [], 0, "Scheduled"),
        ("a tick fires when it is due", {}, {}, 60, [1], 0, "Fired"),
        ("and not a moment before", {}, {}, 59.999, [], 0, "Scheduled"),
        ("the latest of the missed ones is caught up", {}, {}, 305, [5], 4, "Fired"),
        ("all of them", {"catchUp": "All"}, {}, 305, [1, 2, 3, 4, 5], 0, "Fired"),
        ("none of them but the one that is on time", {"catchUp": "None"}, {}, 305, [5], 4, "Fired"),
        ("none of them", {"catchUp": "None"}, {}, 300 + ON_TIME + 1, [], 5, "NotCaughtUp"),
        ("the deadline is over", {"startingDeadlineSeconds": 3}, {}, 304, [], 5, "DeadlineExceeded"),
        ("the deadline is kept", {"startingDeadlineSeconds": 5}, {}, 304, [5], 4, "Fired"),
        ("all within the deadline", {"startingDeadlineSeconds": 130, "catchUp": "All"}, {}, 305, [3, 4, 5], 2, "Fired"),
        ("suspended", {"suspend": True}, {}, 125, [], 2, "Suspended"),
        ("the former may still run", {}, {"jobs": RUNNING}, 60, [1], 0, "Fired"),
        ("it may not", {"concurrencyPolicy": "Forbid"}, {"jobs": RUNNING}, 60, [], 1, "FormerStillRuns"),
        ("it has ended", {"concurrencyPolicy": "Forbid"}, {"jobs": ENDED}, 60, [1], 0, "Fired"),
        ("one at a time", {"concurrencyPolicy": "Forbid", "catchUp": "All"}, {}, 180, [1], 2, "Fired"),
        ("it is replaced", {"concurrencyPolicy": "Replace"}, {"jobs": RUNNING}, 60, [1], 0, "Fired"),
        ("only the last one of several", {"concurrencyPolicy": "Replace", "catchUp": "All"}, {}, 180, [3], 2, "Fired"),
        ("ticks before it was seen do not count", {}, {"last_due": None, "created": T0 + 150}, 185, [3], 0, "Fired"),
        ("nor those before its times were changed", {}, {"created": T0 + 150}, 185, [3], 0, "Fired"),
        ("the clock stepped back", {}, {"last_due": T0 + 120}, 65, [], 0, "Scheduled"),
        ("the clock stepped far back", {}, {"last_due": T0 + 999}, 65, [], 0, "ClockBehind"),
        ("first seen by a clock ahead", {}, {"last_due": None, "created": T0 + 999}, 65, [], 0, "ClockBehind"),
        ("one single time", {"at": timestamp(T0 + 60)}, {}, 61, [1], 0, "Fired"),
        ("has not come", {"at": timestamp(T0 + 60)}, {}, 59, [], 0, "Scheduled"),
        ("was fired", {"at": timestamp(T0 + 60)}, {"last_due": T0 + 60}, 61, [], 0, "Finished"),
        ("to the millisecond", {"at": "2026-11-25T12:01:00.123456Z"}, {"last_due": T0 + 60.123}, 61, [], 0, "Finished"),
        ("was over when it was written", {"at": timestamp(T0 - 999)}, {"last_due": None}, 61, [], 0, "Past"),
        ("a field that is none", {"schedule": "99 * * * *"}, {}, 600, [], 0, "InvalidSchedule"),
        ("a zone that is none", {"timeZone": "Europe/Atlantis"}, {}, 600, [], 0, "InvalidSchedule"),
    ],
)  # fmt: skip
def test_table(  # noqa: PLR0913, PLR0917  # a row of the table
    story: str, spec: dict[str, Any], known: dict[str, Any], late: float, fires: list[int], missed: int, reason: str
) -> None:
    plan = plan_schedule(schedule(**spec), facts(**known), T0 + late, None)
    assert [(fire.due - T0) / MINUTE for fire in plan.fires] == fires, story
    assert (plan.missed, plan.decision.value, plan.decision.reason) == (missed, len(fires), reason), story
    assert plan.decision.message


def test_replace_names_all_that_have_not_ended() -> None:
    jobs = (FiredJob("fire-0", "other", "scheduled"), *RUNNING)
    plan = plan_schedule(schedule(concurrencyPolicy="Replace"), facts(jobs=jobs), T0 + 60, None)
    (fire,) = plan.fires
    assert fire.replaces == jobs
    assert [job.id for job in plan.jobs] == [fire.id]
    assert [event.reason for event in plan.events] == ["Replaced"]


def test_what_is_asked_for_is_fired_once_in_addition_to_its_ticks() -> None:
    plan = plan_schedule(schedule(), facts(), T0 + 30, None, asked=[T0 + 30])
    assert [fire.due for fire in plan.fires] == [T0 + 30]
    known = after(facts(), plan)
    assert plan_schedule(schedule(), known, T0 + 31, None, asked=[T0 + 30]).fires == ()
    assert [fire.due for fire in plan_schedule(schedule(), known, T0 + 60, None, asked=[T0 + 30]).fires] == [T0 + 60]
    assert plan_schedule(schedule(suspend=True), facts(), T0 + 30, None, asked=[T0 + 30]).fires == ()


def test_unknown_is_not_zero() -> None:
    before = plan_schedule(schedule(), facts(), T0 + 60, None).status
    plan = plan_schedule(schedule(), None, T0 + 130, before, problem="redis://r: cannot be reached")
    assert (plan.fires, plan.handled, plan.missed) == ((), None, 0)
    assert {**plan.status, "conditions": 0} == {**before, "conditions": 0}
    ready = condition(plan.status, "Ready")
    assert (ready["status"], ready["reason"]) == ("Unknown", "RedisUnknown")
    assert "cannot be reached" in ready["message"]
    assert plan.next_pass == T0 + 132


def test_status_in_the_form_of_the_crd() -> None:
    plan = plan_schedule(schedule(), facts(jobs=RUNNING, last_fire=T0), T0 + 60, None)
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
                "message": "fires by '* * * * *' in UTC",
                "lastTransitionTime": timestamp(T0 + 60),
                "observedGeneration": 3,
            }
        ],
    }
    later = plan_schedule(schedule(), after(facts(), plan, "completed"), T0 + 90, plan.status)
    assert condition(later.status, "Ready") == condition(plan.status, "Ready"), "the transition time is kept"
    assert later.status["lastJob"]["state"] == "completed"
    assert later.status["active"] == 0


def test_an_end_that_was_seen_stays() -> None:
    ended = facts(jobs=ENDED, last_fire=T0)
    before = plan_schedule(schedule(), ended, T0 + 30, None).status
    gone = facts(jobs=(replace(ENDED[0], state=""),), last_fire=T0)
    assert plan_schedule(schedule(), gone, T0 + 40, before).status["lastJob"] == {"id": "fire-1", "state": "completed"}
    assert plan_schedule(schedule(), gone, T0 + 40, None).status["lastJob"] == {"id": "fire-1"}


def test_a_suspended_schedule_has_no_next_time() -> None:
    plan = plan_schedule(schedule(suspend=True), facts(), T0 + 30, None)
    assert "nextScheduleTime" not in plan.status
    assert plan.next_due == plan.next_pass == T0 + 60, "what falls due is counted"
    assert plan.events == ()


def test_what_is_wrong_is_said_once() -> None:
    wrong = schedule(schedule="* * *")
    first = plan_schedule(wrong, facts(), T0, None)
    assert [(event.reason, event.warning) for event in first.events] == [("InvalidSchedule", True)]
    assert "3 fields" in first.events[0].message
    assert plan_schedule(wrong, facts(), T0 + 1, first.status).events == ()


def test_missed_ticks_are_reported_with_their_reasons() -> None:
    plan = plan_schedule(schedule(startingDeadlineSeconds=100), facts(), T0 + 245, None)
    (event,) = plan.events
    assert event.message == (
        "3 ticks missed up to 2026-11-25T12:03:00Z: 2 because startingDeadlineSeconds was over, "
        "1 because catchUp leaves them out"
    )


def test_the_job_state_is_read_at_growing_intervals() -> None:
    hourly, known, now = schedule(schedule="0 * * * *"), facts(jobs=RUNNING, last_fire=T0), T0
    pauses = []
    while now < T0 + 1500:
        check = plan_schedule(hourly, known, now, None).next_pass
        pauses.append(round(check - now))
        now = check
    assert pauses == [2, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]
    assert plan_schedule(hourly, facts(jobs=ENDED, last_fire=T0), T0 + 5, None).next_pass == T0 + 3600


def test_a_long_absence_is_dealt_with_in_bounded_passes() -> None:
    months = T0 + 3.5 * TICKS * MINUTE + 1
    for policy, fired in (("Latest", 1), ("None", 1), ("All", 3500)):
        known, passes, check = facts(fired=0, missed=0), 0, months
        while check == months:
            plan = plan_schedule(schedule(catchUp=policy), known, months, None)
            assert len(plan.fires) <= FIRES
            known, passes, check = after(known, plan), passes + 1, plan.next_pass
        assert (known.fired, known.fired + known.missed) == (fired, 3500)
        assert passes == (35 if policy == "All" else 4)


def test_ids_are_ids() -> None:
    ids = {fire_id(key, T0 + tick) for key in ("default/a", "default/b", "other/a") for tick in (0, 0.001, 60)}
    assert len(ids) == 9
    assert all(check_id(each) == each for each in ids)
    assert fire_id("default/a", T0) == "fire-" + fire_id("default/a", T0)[5:]


def test_other_times_are_another_line() -> None:
    remade = schedule().model_copy(update={"meta": Meta(name="tick", uid="2")})
    others = [
        remade,
        schedule(timeZone="Europe/Berlin"),
        schedule(schedule="@hourly"),
        schedule(at="2027-01-01T00:00:00Z"),
    ]
    lines = {times(each) for each in (schedule(), *others)}
    assert len(lines) == 5
    assert times(schedule(at="2027-01-01T01:00:00+01:00")) in lines, "the same instant"
    assert times(schedule(job={"name": "other"})) in lines, "another job is no other time"


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
def test_every_tick_once(spec: dict[str, Any], steps: list[tuple[float, str, JobState]]) -> None:
    """Passes of any leader, at any time of any clock; a leader may end before it records, or record too late."""
    made, known, now = schedule(**spec), ScheduleFacts(created=T0), T0
    enqueued: set[str] = set()
    fired: list[float] = []
    for step, end, state in steps:
        now = max(T0 + 1, now + step)
        plan = plan_schedule(made, known, now, None)
        for fire in plan.fires:
            assert T0 < fire.due <= now
            assert fire.due > (known.last_due or 0)
            if fire.id not in enqueued:  # as enqueue refuses a known id
                enqueued.add(fire.id)
                fired.append(fire.due)
        if end == "late":  # another leader saw the same and was quicker
            rival = plan_schedule(made, known, now + 100, None)
            enqueued |= {fire.id for fire in rival.fires}
            fired += [fire.due for fire in rival.fires if fire.due not in fired]
            known = after(known, rival, str(state))
        elif end == "recorded":
            known = after(known, plan, str(state))
    assert len(fired) == len(set(fired)), "no tick was fired twice"

    # In the end a leader that lives long enough settles all of them.
    end_of_time, check = now, now
    while check <= end_of_time:
        plan = plan_schedule(made, known, end_of_time, None)
        known, check = after(known, plan, "completed"), plan.next_pass
    schedule_ticks = _ticks(made, max(now, known.last_due or 0))
    assert known.fired + known.missed == len(schedule_ticks), "each was fired or counted as missed, once"


def _ticks(made: Schedule, until: float) -> list[float]:
    from jobpools.core.schedules.expression import CronExpression

    return CronExpression(made.spec.schedule or "", made.spec.time_zone).between(T0, until, 100_000)
