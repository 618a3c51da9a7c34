"""Which ticks of a pass are fired, and which are counted as missed for which reason."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, strategies as st

from jobpools.core.schedules.reasons import MissedReason
from jobpools.core.schedules.ticks import MAX_LATENESS, ChosenTicks, Ticks, choose_ticks
from jobpools.core.text.timestamps import timestamp
from tests.support.schedules import ENDED, MINUTE, RUNNING, T0, make_schedule, schedule_facts

NOT_CAUGHT_UP, TOO_LATE, SUSPENDED = (
    MissedReason.NOT_CAUGHT_UP,
    MissedReason.DEADLINE_EXCEEDED,
    MissedReason.SUSPENDED,
)
STILL_RUNS, REPLACED = MissedReason.FORMER_STILL_RUNS, MissedReason.REPLACED
ALL, NONE, FORBID = {"catchUp": "All"}, {"catchUp": "None"}, {"concurrencyPolicy": "Forbid"}
REPLACE = {"concurrencyPolicy": "Replace"}
IN_A_MINUTE = {"at": timestamp(T0 + 60)}


def choose(spec: dict[str, Any], known: dict[str, Any], late: float, requested: float | None = None) -> ChosenTicks:
    made = make_schedule(**spec).spec
    asked = [] if requested is None else [T0 + requested]
    return choose_ticks(made, Ticks.of(made), schedule_facts(**known), T0 + late, asked)


@pytest.mark.parametrize(
    ("name", "spec", "known", "late", "fires", "missed"),
    [
        ("no tick is due", {}, {}, 30, [], {}),
        ("a tick is due", {}, {}, 60, [1], {}),
        ("a millisecond before a tick", {}, {}, 59.999, [], {}),
        ("catchUp Latest fires the latest tick", {}, {}, 305, [5], {NOT_CAUGHT_UP: 4}),
        ("catchUp All fires every tick", ALL, {}, 305, [1, 2, 3, 4, 5], {}),
        ("catchUp None fires a tick that is on time", NONE, {}, 305, [5], {NOT_CAUGHT_UP: 4}),
        ("catchUp None fires no late tick", NONE, {}, 300 + MAX_LATENESS + 1, [], {NOT_CAUGHT_UP: 5}),
        ("the deadline has passed", {"startingDeadlineSeconds": 3}, {}, 304, [], {TOO_LATE: 5}),
        ("the deadline has not passed", {"startingDeadlineSeconds": 5}, {}, 304, [5], {TOO_LATE: 4}),
        ("the deadline limits catchUp All", ALL | {"startingDeadlineSeconds": 130}, {}, 305, [3, 4, 5], {TOO_LATE: 2}),
        ("a suspended schedule", {"suspend": True}, {}, 125, [], {SUSPENDED: 2}),
        ("Allow while a job runs", {}, {"jobs": (RUNNING,)}, 60, [1], {}),
        ("Forbid while a job runs", FORBID, {"jobs": (RUNNING,)}, 60, [], {STILL_RUNS: 1}),
        ("Forbid after the job ended", FORBID, {"jobs": (ENDED,)}, 60, [1], {}),
        ("Forbid with several ticks fires one", FORBID | ALL, {}, 180, [1], {STILL_RUNS: 2}),
        ("Replace while a job runs", REPLACE, {"jobs": (RUNNING,)}, 60, [1], {}),
        ("Replace with several ticks fires the latest", REPLACE | ALL, {}, 180, [3], {REPLACED: 2}),
        ("ticks before the schedule was seen", {}, {"handled": None, "created": T0 + 150}, 185, [3], {}),
        ("ticks before its times changed", {}, {"created": T0 + 150}, 185, [3], {}),
        ("the clock stepped back", {}, {"handled": T0 + 120}, 65, [], {}),
        ("a single time that is due", IN_A_MINUTE, {}, 61, [1], {}),
        ("a single time in the future", IN_A_MINUTE, {}, 59, [], {}),
        ("a single time that was fired", IN_A_MINUTE, {"handled": T0 + 60}, 61, [], {}),
        ("a single time is cut to milliseconds", {"at": "2026-11-25T12:01:00.123456Z"}, {"handled": T0 + 60.123}, 61,
         [], {}),
    ],
)  # fmt: skip
def test_ticks_that_are_fired_and_missed(  # a row of the table
    name: str,
    spec: dict[str, Any],
    known: dict[str, Any],
    late: float,
    fires: list[float],
    missed: dict[MissedReason, int],
) -> None:
    chosen = choose(spec, known, late)
    assert [(tick - T0) / MINUTE for tick in chosen.fires] == fires, name
    assert Counter(tick.reason for tick in chosen.missed) == missed, name
    assert chosen.handled == max([*chosen.fires, *(tick.due for tick in chosen.missed)], default=None)
    assert not chosen.has_more


@pytest.mark.parametrize(
    ("name", "spec", "known", "fires"),
    [
        ("in addition to the schedule's ticks", {}, {}, [30]),
        ("once", {}, {"handled": T0 + 30}, []),
        ("not while the schedule is suspended", {"suspend": True}, {}, []),
    ],
)
def test_a_requested_tick_is_fired(name: str, spec: dict[str, Any], known: dict[str, Any], fires: list[float]) -> None:
    assert [tick - T0 for tick in choose(spec, known, 31, requested=30).fires] == fires, name


@given(st.integers(1000, 10_000_000), st.integers(1_500_000_000_000, 2_500_000_000_000))
def test_ticks_at_an_interval_follow_each_other_without_gap(interval: int, start: int) -> None:
    ticks = Ticks.at_interval(interval)
    first = ticks.after(start / 1000)
    assert first is not None
    assert 0 < round(first * 1000) - start <= interval
    assert ticks.after(first) == (round(first * 1000) + interval) / 1000
    assert ticks.between(start / 1000, first, 10) == [first]
    assert ticks.between(first, first, 10) == []
    assert ticks.between(start / 1000, first + 5, 2)[:1] == [first]
