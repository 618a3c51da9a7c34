"""The exceptions with which a handler decides what becomes of its job."""

from datetime import timedelta

import pytest

from jobpools.core.jobs.settlement_requests import Discard, RetryAfter, SettlementRequest, Snooze
from jobpools.errors import ConfigurationError


@pytest.mark.parametrize("delay", ["1m30s", 90, 90.0, timedelta(seconds=90)])
def test_a_delay_has_the_forms_of_all_durations(delay: str | float | timedelta) -> None:
    assert RetryAfter(delay).delay == Snooze(delay).delay == 90.0


@pytest.mark.parametrize(
    ("kind", "delay", "message"),
    [
        (RetryAfter, "soon", "RetryAfter: delay: 'soon' is not a duration"),
        (RetryAfter, -1, "RetryAfter: delay: -1 is not a duration"),
        (Snooze, "soon", "Snooze: delay: 'soon' is not a duration"),
        (Snooze, 0, "Snooze: delay: must be more than 0"),
    ],
)
def test_an_invalid_delay_is_refused(kind: type[RetryAfter | Snooze], delay: str | float, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        kind(delay)


def test_a_retry_may_follow_at_once() -> None:
    assert RetryAfter(0).delay == 0.0


def test_each_is_a_settlement_request_with_its_message() -> None:
    for request in (RetryAfter(1, "why"), Discard("why"), Snooze(1, "why")):
        assert isinstance(request, SettlementRequest)
        assert str(request) == "why"
