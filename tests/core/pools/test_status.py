"""A pool's status in the form of the CRD, and its rounded figures."""

from dataclasses import replace

import pytest

from jobpools.core.pools.memory import Memory
from jobpools.core.pools.plan import plan_pool
from jobpools.core.pools.rounding import round_down, round_status
from jobpools.core.pools.status import MAX_EXAMPLES, PoolStatus
from tests.support.pools import NOW, cluster_facts, heartbeat, make_pool, pool_facts


def status(facts: object) -> PoolStatus:
    return plan_pool(make_pool(), facts, Memory(), NOW, None).status  # type: ignore[arg-type]  # each test's facts


def test_the_form_of_the_crd() -> None:
    facts = pool_facts("ab", busy="a", queued=2, due=1, scheduled=4, dead=5, oldest_seconds=9.9)
    draining = replace(facts, heartbeats=(heartbeat("a", busy=1), heartbeat("b", draining=True, idle_since=0.0)))
    shown = status(draining).to_dict()
    assert [each["type"] for each in shown.pop("conditions")][:2] == ["Ready", "Progressing"]
    assert shown == {
        "observedGeneration": 3,
        "replicas": 2,
        "readyReplicas": 2,
        "workers": [
            {"name": "a", "ready": True, "busy": 1, "slots": 5},
            {"name": "b", "ready": True, "busy": 0, "slots": 5, "draining": True, "idleSince": "1970-01-01T00:00:00Z"},
        ],
        "busy": 1,
        "queued": 3,
        "inFlight": 1,
        "scheduled": 4,
        "dead": 5,
        "oldestSeconds": 9,
    }


def test_what_is_unknown_is_left_out() -> None:
    unknown = replace(pool_facts("a"), queues=None, heartbeats=None, cluster=None)
    assert status(unknown).to_dict().keys() == {"observedGeneration", "conditions"}


def test_no_slot_is_busy_without_a_lease() -> None:
    facts = replace(pool_facts("a", in_flight=1), heartbeats=(heartbeat("a", busy=3),))
    assert status(facts).busy == 1, "the leases are newer than the heartbeat"
    assert status(replace(facts, queues=None)).busy == 3


def test_a_few_workers_are_listed() -> None:
    names = "abcdefghijklmnop"
    facts = replace(pool_facts(), cluster=cluster_facts(names[::-1]))
    workers = status(facts).workers
    assert workers is not None
    assert [worker.name for worker in workers] == list(names[:MAX_EXAMPLES])


@pytest.mark.parametrize(
    ("count", "step"), [(0, 0), (0.4, 0), (1, 1), (3, 2), (9, 5), (10, 10), (49, 20), (999, 500), (1000, 1000)]
)
def test_figures_are_rounded_down_to_steps(count: float, step: int) -> None:
    assert round_down(count) == step


def test_a_rounded_status_changes_only_with_what_is_worth_a_write() -> None:
    known = {"queued": 11, "busy": 3, "conditions": [{"type": "Ready", "status": "True", "reason": "Idle"}]}
    assert round_status(known) == round_status(known | {"queued": 19})
    assert round_status(known) != round_status(known | {"queued": 20})
    assert round_status(known) != round_status(known | {"busy": 4})
