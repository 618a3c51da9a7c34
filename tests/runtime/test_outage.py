"""An outage is logged once when it begins and once when it is over, whichever part of the worker notices first."""

import logging

import pytest

from jobpools.errors import StoreDataError, StoreUnavailableError
from jobpools.runtime.outage import LONGEST_STABLE, STABLE, Outage, Tries, concerns_server

ERROR = StoreUnavailableError("redis://127.0.0.1:1/0: cannot be reached")
BEGAN, ENDED = "Redis is unreachable", "Redis is back"


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage().partition(":")[0].partition(" after")[0] for record in caplog.records]


def test_it_is_logged_once_and_it_is_over_when_no_part_fails(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outage = Outage()
    outage.recovered("steps")
    assert (outage.is_ongoing, logged(caplog)) == (False, [])
    outage.failed(ERROR, "steps")
    outage.failed(ERROR, "leases")
    outage.failed(ERROR, "steps")
    assert (outage.is_ongoing, logged(caplog)) == (True, [BEGAN])
    outage.recovered("wake-ups")
    outage.recovered("steps")
    assert (outage.is_ongoing, logged(caplog)) == (True, [BEGAN])
    outage.recovered("leases")
    outage.recovered("leases")
    assert (outage.is_ongoing, logged(caplog)) == (False, [BEGAN])
    outage.log_end(outage.ended + STABLE)
    outage.log_end(outage.ended + STABLE)
    assert logged(caplog) == [BEGAN, ENDED]
    outage.failed(ERROR, "leases")
    assert logged(caplog)[2:] == [BEGAN], "a new outage"


def test_errors_in_quick_succession_are_one_outage(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outage = Outage()
    for _ in range(20):
        outage.failed(ERROR, "steps")
        outage.recovered("steps")
        outage.log_end(outage.ended + STABLE / 2)
    assert (outage.is_ongoing, logged(caplog)) == (False, [BEGAN])
    outage.log_end(outage.ended + LONGEST_STABLE - 0.1)
    assert logged(caplog) == [BEGAN], "each relapse makes it wait longer"
    outage.log_end(outage.ended + LONGEST_STABLE)
    assert logged(caplog) == [BEGAN, ENDED]


def test_a_part_knows_whether_it_or_another_one_fails() -> None:
    outage = Outage()
    outage.failed(ERROR, "rescue")
    assert outage.is_failing("rescue")
    assert not outage.is_failing("steps")
    assert not outage.is_failing_elsewhere("rescue")
    outage.failed(ERROR, "steps")
    assert outage.is_failing_elsewhere("rescue")


def test_an_error_of_one_queue_is_no_outage() -> None:
    assert concerns_server(ERROR)
    assert not concerns_server(StoreDataError("a key of the queue holds another type"))


def test_delays_start_again_after_a_success() -> None:
    tries = Tries()
    assert [tries.failed(draw=0.0) for _ in range(3)] == [0.1, 0.2, 0.4]
    tries.succeeded()
    assert tries.failed(draw=0.0) == 0.1
