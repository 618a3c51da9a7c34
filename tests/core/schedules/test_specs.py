"""Specs of schedules: one kind of time, and the forms of a single time."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.schedules import make_schedule


@pytest.mark.parametrize("at", ["2027-01-01T00:00:00Z", "2027-01-01t01:00:00+01:00", datetime(2027, 1, 1, tzinfo=UTC)])
def test_a_single_time_is_an_instant(at: Any) -> None:
    assert make_schedule(at=at).spec.at == datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"at": "2027-01-01T00:00:00Z", "schedule": "@daily"}, "set exactly one of schedule and at"),
        ({"schedule": None}, "set exactly one of schedule and at"),
        ({"at": "2027-01-01T00:00:00"}, "is not a time with a UTC offset; write it as in 2027-01-01T00:00:00Z"),
        ({"at": 1_800_000_000}, "is not a time with a UTC offset"),
        ({"at": "2027-01-01T25:00:00Z"}, "is not a time with a UTC offset"),
        ({"at": "0001-01-01T00:00:00+01:00"}, "is outside the years 1 to 9999 in UTC; use another year"),
        ({"startingDeadlineSeconds": 0}, "greater than or equal to 1"),
        ({"job": {"name": "work", "expires": "0s"}}, "must be more than 0s"),
        ({"job": {"name": "work", "metadata": ["a"]}}, "valid dictionary"),
    ],
)
def test_an_invalid_spec_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        make_schedule(**fields)
    assert message in str(caught.value)
