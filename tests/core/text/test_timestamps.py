"""Instants as text."""

import pytest

from jobpools.core.text.timestamps import timestamp


def test_a_timestamp_is_rfc_3339_in_utc() -> None:
    assert timestamp(1_798_761_600.9) == "2027-01-01T00:00:00Z"
    assert timestamp(1_798_761_600.25, "milliseconds") == "2027-01-01T00:00:00.250Z"
    assert timestamp(1_798_761_600.0, "microseconds") == "2027-01-01T00:00:00.000000Z"


@pytest.mark.parametrize("seconds", [1e12, -1e12, 1e300, float("nan")])
def test_an_instant_outside_the_calendar_is_an_error(seconds: float) -> None:
    with pytest.raises((OverflowError, ValueError)):
        timestamp(seconds)
