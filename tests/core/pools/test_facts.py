"""Facts of an endpoint by another clock, and figures of a pool."""

from dataclasses import replace

import pytest

from jobpools.core.pools.facts import EndpointFacts, Problem
from jobpools.core.pools.reasons import Reason
from tests.support.pools import KEY, NOW, heartbeat, pool_facts


@pytest.mark.parametrize("shift", [-3600.0, 5.0])
def test_times_of_workers_are_converted_to_the_clock_of_the_planner(shift: float) -> None:
    facts = EndpointFacts({}, {KEY: (heartbeat("a"), heartbeat("b", busy=1))}, now=NOW)
    converted = facts.by_clock(NOW + shift)
    idle, busy = converted.heartbeats[KEY]
    assert (idle.idle_since, idle.seen) == (NOW - 500 + shift, NOW + shift)
    assert busy.idle_since is None
    assert converted.now == NOW + shift


def test_a_difference_below_a_second_or_an_unknown_time_changes_nothing() -> None:
    facts = EndpointFacts({}, {KEY: (heartbeat("a"),)}, now=NOW)
    assert facts.by_clock(NOW + 0.9) is facts
    unknown = replace(facts, now=None)
    assert unknown.by_clock(NOW + 99) is unknown


def test_demand_counts_queued_due_and_running_jobs() -> None:
    facts = pool_facts(queued=1, due=2, in_flight=4, scheduled=8, dead=16)
    assert (facts.demand, facts.waiting, facts.in_flight) == (7, 3, 4)
    assert replace(facts, queues=None).demand == 0


def test_causes_of_unknown_facts_are_found_by_reason() -> None:
    problems = (Problem(Reason.QUEUES_UNKNOWN, "a"), Problem(Reason.CLUSTER_UNKNOWN, "b"))
    facts = replace(pool_facts(), problems=(*problems, Problem(Reason.QUEUES_UNKNOWN, "c")))
    assert facts.why_unknown(Reason.QUEUES_UNKNOWN) == "a; c"
    assert str(problems[0]) == "QueuesUnknown: a"
