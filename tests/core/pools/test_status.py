"""A pool's status in the form of the CRD."""

from dataclasses import replace

from jobpools.core.pools.facts import PoolFacts
from jobpools.core.pools.memory import Memory
from jobpools.core.pools.plan import plan_pool
from jobpools.core.pools.status import MAX_EXAMPLES, PoolStatus
from tests.support.pools import NOW, cluster_facts, heartbeat, make_pool, pool_facts


def status(facts: PoolFacts) -> PoolStatus:
    return plan_pool(make_pool(), facts, Memory(), NOW, None).status


def test_the_status_has_the_form_of_the_crd() -> None:
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
        "pausedWorkers": 0,
        "busy": 1,
        "queued": 3,
        "inFlight": 1,
        "scheduled": 4,
        "dead": 5,
        "oldestSeconds": 9,
    }


def test_unknown_figures_are_left_out() -> None:
    unknown = replace(pool_facts("a"), queues=None, heartbeats=None, cluster=None)
    assert status(unknown).to_dict().keys() == {"observedGeneration", "conditions"}


def test_no_more_slots_are_busy_than_there_are_leases() -> None:
    facts = replace(pool_facts("a", in_flight=1), heartbeats=(heartbeat("a", busy=3),))
    assert status(facts).busy == 1, "the leases are newer than the heartbeat"
    assert status(replace(facts, queues=None)).busy == 3


def test_at_most_ten_workers_are_listed() -> None:
    names = "abcdefghijklmnop"
    facts = replace(pool_facts(), cluster=cluster_facts(names[::-1]))
    workers = status(facts).workers
    assert workers is not None
    assert [worker.name for worker in workers] == list(names[:MAX_EXAMPLES])
