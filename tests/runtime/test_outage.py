"""Away is said once, back is said once, whoever notices first."""

import logging

import pytest

from jobpools.errors import StoreDataError, StoreUnavailableError
from jobpools.runtime.outage import LONGEST_STABLE, STABLE, Outage, Tries, away

GONE = StoreUnavailableError("redis://127.0.0.1:1/0: cannot be reached")


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage().partition(":")[0].partition(" after")[0] for record in caplog.records]


def test_it_is_said_once_and_it_is_over_when_no_conversation_fails(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outage = Outage()
    outage.over("steps")
    assert (outage.known, said(caplog)) == (False, [])
    outage.noticed(GONE, "steps")
    outage.noticed(GONE, "leases")
    outage.noticed(GONE, "steps")
    assert (outage.known, said(caplog)) == (True, ["Redis is away"])
    outage.over("wake-ups")
    outage.over("steps")
    assert (outage.known, said(caplog)) == (True, ["Redis is away"])
    outage.over("leases")
    outage.over("leases")
    assert (outage.known, said(caplog)) == (False, ["Redis is away"])
    outage.look(outage.ended + STABLE)
    outage.look(outage.ended + STABLE)
    assert said(caplog) == ["Redis is away", "Redis is back"]
    outage.noticed(GONE, "leases")
    assert said(caplog)[2:] == ["Redis is away"], "the next one is another one"


def test_a_storm_is_one_outage_and_is_over_when_it_is_calm(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outage = Outage()
    for _ in range(20):
        outage.noticed(GONE, "steps")
        outage.over("steps")
        outage.look(outage.ended + STABLE / 2)
    assert (outage.known, said(caplog)) == (False, ["Redis is away"])
    outage.look(outage.ended + LONGEST_STABLE - 0.1)
    assert said(caplog) == ["Redis is away"], "each relapse makes it wait longer"
    outage.look(outage.ended + LONGEST_STABLE)
    assert said(caplog) == ["Redis is away", "Redis is back"]


def test_a_conversation_tries_whatever_the_others_know() -> None:
    outage = Outage()
    outage.noticed(GONE, "rescue")
    assert (outage.failing("rescue"), outage.known_beside("rescue"), outage.failing("steps")) == (True, False, False)
    outage.noticed(GONE, "steps")
    assert outage.known_beside("rescue")


def test_one_queues_trouble_is_no_outage() -> None:
    assert away(GONE)
    assert not away(StoreDataError("a key of the queue holds another type"))


def test_delays_start_again_after_a_success() -> None:
    tries = Tries()
    assert [tries.failed(draw=0.0) for _ in range(3)] == [0.1, 0.2, 0.4]
    tries.succeeded()
    assert tries.failed(draw=0.0) == 0.1
