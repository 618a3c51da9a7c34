"""How many workers a pool needs: the cases that no rule decides, and properties that hold for every load."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from jobpools.core.pools.facts import PoolFacts, Problem
from jobpools.core.pools.memory import Memory
from jobpools.core.pools.reasons import Reason
from jobpools.core.pools.sizing import Sizing, size_pool
from jobpools.core.pools.specs import PoolSpec
from jobpools.core.text.names import QueueName
from tests.support.pools import NOW, cluster_facts, heartbeat, pool_facts, pool_spec, queue_facts


def size(spec: PoolSpec, facts: PoolFacts, memory: Memory | None = None) -> Sizing:
    return size_pool(spec, facts, memory or Memory(), NOW)


PROBLEMS = (Problem(Reason.QUEUES_UNKNOWN, "connection refused"), Problem(Reason.CLUSTER_UNKNOWN, "watch is stale"))
FACTS = pool_facts("abc", queued=50)


@pytest.mark.parametrize(
    ("facts", "fields", "expected"),
    [
        (replace(FACTS, cluster=None, problems=PROBLEMS), {},
         (None, Reason.CLUSTER_UNKNOWN, "the cluster cannot be read: watch is stale")),
        (replace(FACTS, queues=None, problems=PROBLEMS), {},
         (None, Reason.QUEUES_UNKNOWN, "the queues cannot be read: connection refused; 3 workers are kept")),
        (replace(FACTS, heartbeats=None), {},
         (None, Reason.QUEUES_UNKNOWN, "the queues cannot be read; 3 workers are kept")),
        (FACTS, {"paused": True}, (3, Reason.PAUSED, "spec.paused is true; 3 workers are kept")),
        (FACTS, {"scaling": {"mode": "Manual"}, "replicas": 7},
         (7, Reason.MANUAL, "scaling.mode is Manual: 7 workers are asked for")),
        (FACTS, {"scaling": {"mode": "Manual"}}, (3, Reason.MANUAL, "scaling.mode is Manual: 3 workers are asked for")),
        (replace(FACTS, queues=None), {"scaling": {"mode": "Manual"}, "replicas": 1},
         (1, Reason.MANUAL, "scaling.mode is Manual: 1 worker is asked for")),
    ],
)  # fmt: skip
def test_the_number_is_decided_without_the_rules(
    facts: PoolFacts, fields: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    desired = size(pool_spec(**fields), facts).desired
    assert (desired.value, desired.reason, desired.message) == expected


def test_sizing_says_whether_its_number_is_limited_or_temporary() -> None:
    limited = size(pool_spec(scaling={"max": 2}), pool_facts("ab", queued=99))
    assert (limited.desired.reason, limited.is_limited) == (Reason.TOO_MANY_REPLICAS, True)
    waiting = size(pool_spec(scaling={"idle": "60s"}), pool_facts("ab"), Memory(active_at=NOW - 5))
    assert (waiting.desired.reason, waiting.is_temporary) == (Reason.STABILIZED, True)


def test_after_a_restart_the_heartbeats_show_how_long_the_queues_have_been_empty() -> None:
    spec = pool_spec(scaling={"idle": "60s", "behavior": {"scaleDown": {"stabilization": 0}}})
    facts = pool_facts("ab")
    worked = replace(facts, heartbeats=(heartbeat("a", idle_since=NOW - 10, completed=1), heartbeat("b")))
    assert size(spec, worked).desired.reason == Reason.IDLE_WAIT
    long_ago = replace(facts, heartbeats=(heartbeat("a", idle_since=NOW - 70, completed=1), heartbeat("b")))
    assert size(spec, long_ago).desired.value == 0


policies = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["Workers", "Percent"]), "value": st.integers(1, 200), "period": st.integers(1, 60)}
    ),
    max_size=2,
)
directions = st.fixed_dictionaries({"stabilization": st.sampled_from([0, 10, 60]), "policies": policies})
limits = st.tuples(st.integers(0, 8), st.integers(1, 12)).map(lambda pair: {"min": min(pair), "max": max(pair)})


@st.composite
def specs(draw: st.DrawFn) -> PoolSpec:
    behavior = {"scaleUp": draw(directions), "scaleDown": draw(directions)}
    more = {"jobsPerWorker": draw(st.integers(1, 20)), "idle": draw(st.sampled_from([0, 30])), "behavior": behavior}
    return pool_spec(scaling=draw(limits) | more)


histories = st.lists(st.tuples(st.floats(NOW - 120, NOW), st.integers(0, 15)), max_size=6).map(
    lambda found: tuple(sorted(found))
)
memories = st.builds(Memory, desired=histories, replicas=histories, active_at=st.none() | st.floats(NOW - 100, NOW))
names = st.integers(0, 15).map(lambda count: "abcdefghijklmno"[:count])


@given(specs(), memories, names, st.integers(0, 500), st.floats(0, 900))
def test_the_number_is_never_outside_min_and_max(
    spec: PoolSpec, memory: Memory, workers: str, queued: int, oldest: float
) -> None:
    facts = pool_facts(workers, queued=queued, oldest_seconds=oldest if queued else None)
    wanted = size(spec, facts, memory).desired.value
    assert wanted is not None
    assert spec.scaling.min <= wanted <= spec.scaling.max


@given(specs(), memories, names, st.integers(0, 15), st.integers(0, 500))
def test_only_busy_workers_raise_the_number_above_max(
    spec: PoolSpec, memory: Memory, workers: str, busy: int, queued: int
) -> None:
    facts = pool_facts(workers, busy=workers[:busy], queued=queued)
    wanted = size(spec, facts, memory).desired.value
    assert wanted is not None
    assert wanted >= max(spec.scaling.min, len(workers[:busy]))
    assert wanted <= max(spec.scaling.max, len(workers[:busy]))


@given(specs(), memories, names, st.integers(1, 200), st.integers(0, 200))
def test_more_jobs_never_ask_for_fewer_workers(
    spec: PoolSpec, memory: Memory, workers: str, jobs: int, more: int
) -> None:
    """This holds from one job on: an empty queue holds the number for `idle`, and the first job ends that."""
    few, many = (size(spec, pool_facts(workers, queued=queued), memory).desired.value for queued in (jobs, jobs + more))
    assert few is not None
    assert many is not None
    assert few <= many


@given(specs(), names, st.integers(0, 200))
def test_at_constant_load_the_number_moves_in_one_direction_and_stays(spec: PoolSpec, workers: str, jobs: int) -> None:
    current, memory, sizes = len(workers), Memory(), [len(workers)]
    queues = {QueueName("emails"): queue_facts(queued=jobs)}
    for step in range(400):
        facts = PoolFacts(queues, (), cluster_facts(replicas=current))
        sizing = size_pool(spec, facts, memory, NOW + 5 * step)
        assert sizing.desired.value is not None
        current, memory = sizing.desired.value, sizing.memory
        sizes.append(current)
    assert sizes in (sorted(sizes), sorted(sizes, reverse=True))
    assert len(set(sizes[-12:])) == 1, "a minute without a change"
