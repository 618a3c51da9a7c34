"""A schedule as users see it: next and recent runs."""

from datetime import UTC, datetime

from jobpools.core.schedules.identity import fire_id, manual_id
from jobpools.core.schedules.listing import OVERDUE, KnownSchedule, describe, next_runs, parse_recent
from tests.support.schedules import ENDED, MINUTE, T0, make_schedule, schedule_facts


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def test_a_view_names_the_next_tick_and_the_last_job() -> None:
    view = describe(KnownSchedule(make_schedule(), schedule_facts(T0, jobs=(ENDED,), last_fire=T0)), T0 + 10)
    assert (view.key, view.source, view.times, view.enabled) == ("default/tick", "CronJobSpec", "* * * * *", True)
    assert (view.next_run, view.last_run) == (moment(T0 + MINUTE), moment(T0))
    assert (view.last_job, view.last_state, view.active, view.fired) == ("fire-1", "completed", 0, 5)
    assert view.reason == "Scheduled"


def test_a_suspended_schedule_has_no_next_tick_and_is_never_overdue() -> None:
    view = describe(KnownSchedule(make_schedule(suspend=True), schedule_facts(T0 - 600)), T0)
    assert (view.enabled, view.next_run, view.reason) == (False, None, "Suspended")


def test_a_tick_that_was_not_fired_is_overdue() -> None:
    assert describe(KnownSchedule(make_schedule(), schedule_facts(T0 - 600)), T0).reason == OVERDUE


def test_options_are_shown_by_the_names_of_the_api() -> None:
    job = {"name": "work", "kwargs": {"n": 1}, "priority": "low", "expires": "1h", "metadata": {"m": 2}}
    view = describe(
        KnownSchedule(make_schedule(job=job, startingDeadlineSeconds=5, catchUp="All"), schedule_facts()), T0
    )
    assert view.args == {"n": 1}
    assert view.options == {
        "priority": "low", "metadata": {"m": 2}, "expires": 3600.0, "starting_deadline": 5, "catch_up": "All",
    }  # fmt: skip


def test_next_runs_are_limited_and_end_with_the_schedule() -> None:
    assert next_runs(make_schedule(), T0, 3) == [moment(T0 + number * MINUTE) for number in (1, 2, 3)]
    once = make_schedule(at="2027-01-01T00:00:00Z")
    assert next_runs(once, T0, 10) == [datetime(2027, 1, 1, tzinfo=UTC)]


def test_recent_fires_are_parsed_the_latest_first() -> None:
    ticks = [1_700_000_000.0, 1_700_000_060.5]
    tick, manual = reversed(parse_recent("default/tick", "1700000000000+12 1700000060500!"))
    assert (tick.due, tick.late, tick.manual, tick.job) == (
        moment(ticks[0]),
        0.012,
        False,
        fire_id("default/tick", ticks[0]),
    )
    assert (manual.due, manual.manual, manual.job) == (moment(ticks[1]), True, manual_id("default/tick", ticks[1]))
    assert parse_recent("default/tick", "") == []
