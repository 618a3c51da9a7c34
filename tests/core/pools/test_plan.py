"""The plan of a pass over one pool: actions, events, and the report of an action that failed."""

from dataclasses import replace
from typing import Any

import pytest

from jobpools.core.events import Event
from jobpools.core.pools.actions import (
    Action,
    DrainWorkers,
    EnsurePool,
    ForceDrainWorkers,
    MaintainQueues,
    ReleaseLeases,
    SetLimits,
    SetReplicas,
    WriteSettings,
)
from jobpools.core.pools.facts import PoolFacts, QueuePause
from jobpools.core.pools.memory import Memory
from jobpools.core.pools.plan import Plan, plan_pool, with_failed_action
from jobpools.core.pools.reasons import ConditionType, Reason
from jobpools.core.pools.requeue import RETRY_INTERVAL
from jobpools.core.text.names import QueueName
from tests.support.pools import NOW, cluster_facts, make_pool, pool_facts

IMMEDIATE = {"jobsPerWorker": 1, "behavior": {"scaleDown": {"stabilization": 0}}}


def plan(facts: PoolFacts, **fields: Any) -> Plan:
    return plan_pool(make_pool(scaling=IMMEDIATE, **fields), facts, Memory(), NOW, None)


def with_cluster(facts: PoolFacts, **fields: Any) -> PoolFacts:
    return replace(facts, cluster=replace(facts.cluster or cluster_facts(), **fields))


KEEP_A_MINUTE = {"queue": {"keepDeadFor": "1m"}}
NEW_POOL = with_cluster(pool_facts(), replicas=None, current=False)


@pytest.mark.parametrize(
    ("name", "facts", "fields", "actions"),
    [
        ("nothing to do", pool_facts("a", busy="a"), {}, ()),
        ("a new pool", NEW_POOL, {}, (EnsurePool(),)),
        ("a new pool with jobs", with_cluster(pool_facts(queued=2), replicas=None, current=False), {},
         (EnsurePool(), SetReplicas(2))),
        ("the cluster is unknown", replace(pool_facts("a", queued=9), cluster=None), {}, ()),
        ("the queues are unknown", replace(with_cluster(pool_facts("a"), current=False), queues=None), {},
         (EnsurePool(),)),
        ("a worker ended", with_cluster(pool_facts("a", busy="a"), gone=("z",)), {}, (ReleaseLeases(("z",)),)),
        ("a worker ended and is back", with_cluster(pool_facts("a", busy="a"), gone=("a",)), {}, ()),
        ("due jobs without workers", pool_facts(due=1), {}, (MaintainQueues(), SetReplicas(1))),
        ("expired records without workers", pool_facts(expired=True), {}, (MaintainQueues(),)),
        ("old dead letters without workers", pool_facts(dead=1, oldest_dead=60), KEEP_A_MINUTE, (MaintainQueues(),)),
        ("dead letters that are not old", pool_facts(dead=1, oldest_dead=59), KEEP_A_MINUTE, ()),
        ("dead letters of any age", pool_facts(dead=1, oldest_dead=1e9), {"queue": {"keepDeadFor": "0s"}}, ()),
        ("old dead letters with a worker", pool_facts("a", busy="a", dead=1, oldest_dead=60), KEEP_A_MINUTE, ()),
        ("due jobs with a worker", pool_facts("a", due=1), {}, ()),
        ("scale up", pool_facts("a", busy="a", queued=4), {}, (SetReplicas(5),)),
        ("a paused queue", pool_facts(queued=4, pause=QueuePause(NOW, "ada", "")), {}, ()),
        ("limits that the queue has", pool_facts("a", busy="a"), {"queue": {"maxDepth": 10_000}}, ()),
        ("limits that the queue does not have", pool_facts("a", busy="a"), {"queue": {"overflow": "DropNewest"}},
         (SetLimits((QueueName("emails"),)),)),
        ("paused", pool_facts("ab", queued=4), {"paused": True}, (ForceDrainWorkers(("a.1", "b.1")),)),
    ],
)  # fmt: skip
def test_the_actions_of_a_pass(
    name: str, facts: PoolFacts, fields: dict[str, Any], actions: tuple[Action, ...]
) -> None:
    assert plan(facts, **fields).actions == actions, name


def following(*versions: str | None, **cluster: Any) -> PoolFacts:
    """A pool of busy workers that follow settings of these versions; the pool's spec has version `v2`."""
    names = "abc"[: len(versions)]
    found = pool_facts(names, busy=names)
    heartbeats = tuple(
        replace(each, settings=version) for each, version in zip(found.heartbeats or (), versions, strict=True)
    )
    return with_cluster(replace(found, heartbeats=heartbeats, settings="v2"), **cluster)


@pytest.mark.parametrize(
    ("name", "facts", "written", "actions"),
    [
        ("settings that this process has not written", following("v2"), "", (WriteSettings("v2"),)),
        ("changed settings", following("v1", "v1", has_current_settings=False), "v1", (WriteSettings("v2"),)),
        ("settings that one worker does not follow", following("v2", "v1"), "v2", (WriteSettings("v2"),)),
        ("settings that all workers follow", following("v2", "v2", has_current_settings=False), "v2", ()),
        ("settings after everything else", following("v1", replicas=0), "v1", (SetReplicas(1), WriteSettings("v2"))),
        ("a worker of an older version", following("v2", None, has_current_settings=False), "v2", (EnsurePool(),)),
        ("an older worker, and nothing has changed", following("v2", None), "v2", ()),
        ("no worker", following(has_current_settings=False), "v2", (EnsurePool(),)),
        ("unknown queues", replace(following(has_current_settings=False), queues=None, heartbeats=None), "", ()),
    ],
)  # fmt: skip
def test_changed_settings_reach_running_workers_without_new_ones(
    name: str, facts: PoolFacts, written: str, actions: tuple[Action, ...]
) -> None:
    planned = plan_pool(make_pool(scaling=IMMEDIATE), facts, Memory(settings=written), NOW, None)
    assert planned.actions == actions, name


def test_a_change_of_the_size_is_an_event() -> None:
    (up,) = plan(pool_facts("a", busy="a", queued=1)).events
    assert up == Event(
        Reason.SCALED_UP, "from 1 to 2: 2 jobs are queued, due or running and need 2 workers (jobsPerWorker is 1)"
    )
    missing = with_cluster(pool_facts("a", busy="a"), replicas=2)
    (down,) = plan(missing).events
    assert (down.reason, down.warning) == (Reason.SCALED_DOWN, False)
    assert down.message.startswith("from 2 to 1: ")


def test_a_worker_that_is_not_listed_yet_is_not_missing() -> None:
    """The watch of the pods is behind: scaling down by the missing worker would remove one of the five that exist."""
    listed = with_cluster(pool_facts("abcd", busy="abcd"), replicas=5)
    assert SetReplicas(4) in plan(listed).actions
    reporting = replace(listed, heartbeats=pool_facts("abcde", busy="abcd").heartbeats)
    assert plan(reporting).actions == ()


def test_alerts_are_kept_in_memory_while_the_queues_are_unknown() -> None:
    deep = plan(pool_facts("a", queued=9), alerts={"queueDepth": 8})
    assert deep.memory.firing == frozenset({Reason.QUEUE_DEPTH})
    unknown = replace(pool_facts("a"), queues=None)
    later = plan_pool(make_pool(alerts={"queueDepth": 8}), unknown, deep.memory, NOW + 1, deep.status.to_dict())
    assert later.memory.firing == frozenset({Reason.QUEUE_DEPTH})


@pytest.mark.parametrize("is_missing", [False, True])
def test_a_failed_action_is_reported_once(is_missing: bool) -> None:  # noqa: FBT001
    planned = plan(pool_facts("a", busy="a"))
    failed = with_failed_action(planned, "EnsurePool: forbidden", None, NOW, is_missing=is_missing)
    degraded, ready = failed.status.condition(ConditionType.DEGRADED), failed.status.condition(ConditionType.READY)
    assert (degraded["status"], degraded["reason"]) == ("True", Reason.ACTION_FAILED)
    assert (ready["reason"] == Reason.ACTION_FAILED) == is_missing
    assert failed.events == (Event(Reason.ACTION_FAILED, "EnsurePool: forbidden", warning=True),)
    assert failed.requeue_after >= RETRY_INTERVAL
    assert len(failed.status.conditions) == len(ConditionType)
    again = with_failed_action(
        planned, "EnsurePool: forbidden", failed.status.to_dict(), NOW + 9, is_missing=is_missing
    )
    assert again.events == ()


def test_the_first_step_of_a_scale_down_is_a_lock() -> None:
    assert plan_pool(
        make_pool(scaling=IMMEDIATE | {"idle": 0}), pool_facts("ab", busy="a"), Memory(), NOW, None
    ).actions == (DrainWorkers(("b.1",)),)
