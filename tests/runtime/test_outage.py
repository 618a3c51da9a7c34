"""Away is said once, back is said once, whoever notices first."""

import logging

import pytest

from jobpools.errors import StoreDataError, StoreUnavailableError
from jobpools.runtime.outage import FIRST_PAUSE, LONGEST_PAUSE, LONGEST_STABLE, STABLE, Outage, Pauses, away, jittered

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


def test_workers_that_lost_a_server_together_do_not_come_back_together() -> None:
    pauses = {jittered(4.0) for _ in range(50)}
    assert len(pauses) == 50
    assert 3.0 <= min(pauses) < max(pauses) <= 5.0


def test_one_queues_trouble_is_no_outage() -> None:
    assert away(GONE)
    assert not away(StoreDataError("a key of the queue holds another type"))


def test_pauses_grow_to_their_limit_and_start_again() -> None:
    pauses = Pauses()
    found = [pauses.next() for _ in range(10)]
    assert found[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert found[-1] == LONGEST_PAUSE
    pauses.reset()
    assert pauses.next() == FIRST_PAUSE
