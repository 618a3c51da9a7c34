"""Durations as users write them."""

from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from jobpools.core.text.durations import MAX_DURATION, format_duration, format_latency, format_rate, parse_duration


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("90s", 90), ("1h30m", 5400), ("250ms", 0.25), ("0s", 0), (5, 5), (0.5, 0.5), (timedelta(minutes=2), 120)],
)
def test_the_accepted_forms(value: str | float | timedelta, seconds: float) -> None:
    assert parse_duration(value) == seconds


@pytest.mark.parametrize("value", ["", "90", "1h 30m", "-1s", -1, True, None, float("nan"), MAX_DURATION + 1, "36501d"])
def test_everything_else_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(value)  # type: ignore[arg-type]  # the mistake


@pytest.mark.parametrize("digits", [400, 6000])
def test_an_integer_that_no_float_can_hold_is_refused(digits: int) -> None:
    with pytest.raises(ValueError, match="the number is not a duration"):
        parse_duration(10**digits)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "250ms"), (2.5, "2.5s"), (90, "90s"), (5400, "1h30m"), (2 * 86400 + 4 * 3600, "2d4h")],
)
def test_the_shown_form(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.floats(min_value=0.001, max_value=MAX_DURATION))
def test_the_shown_form_can_be_read_and_is_close(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=0.05, abs=0.0006)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.0000612, "0.061ms"), (0.00421, "4.2ms"), (0.0421, "42ms"), (0.4214, "421ms"), (1.32, "1.32s")],
)
def test_a_latency_has_two_or_three_digits(seconds: float | None, text: str) -> None:
    assert format_latency(seconds) == text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [(0.0, "0"), (0.02222, "0.0222"), (12.34, "12.3"), (99.96, "100"), (1234.5, "1234"), (25_000.0, "25000")],
)
def test_a_rate_has_no_exponent(per_second: float, text: str) -> None:
    assert format_rate(per_second) == text
