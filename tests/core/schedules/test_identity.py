"""The ids of fires, and the key that identifies a schedule's times."""

import re

from jobpools.core.objects import Meta
from jobpools.core.schedules.identity import fire_id, times_key
from tests.support.schedules import T0, make_schedule


def test_each_tick_of_each_schedule_has_its_own_job_id() -> None:
    ids = {fire_id(key, T0 + tick) for key in ("default/a", "default/b", "other/a") for tick in (0, 0.001, 60)}
    assert len(ids) == 9
    assert all(re.fullmatch("fire-[0-9a-f]{32}", each) for each in ids)
    assert fire_id("default/a", T0) in ids


def test_a_schedule_with_other_times_or_another_uid_has_another_times_key() -> None:
    created_again = make_schedule().model_copy(update={"meta": Meta(name="tick", uid="2")})
    others = [
        created_again,
        make_schedule(timeZone="Europe/Berlin"),
        make_schedule(schedule="@hourly"),
        make_schedule(at="2027-01-01T00:00:00Z"),
    ]
    lines = {times_key(each) for each in (make_schedule(), *others)}
    assert len(lines) == 5
    assert times_key(make_schedule(at="2027-01-01T01:00:00+01:00")) in lines, "the same instant"
    assert times_key(make_schedule(job={"name": "other"})) in lines, "the job is not part of it"
