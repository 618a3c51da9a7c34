"""What a pass says when it could not do what it decided."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from jobpools.control.reconcile import Reconciler, reconcile
from jobpools.core.objects import Meta
from jobpools.core.pools.actions import SetReplicas
from jobpools.core.pools.facts import ClusterFacts, Heartbeat, PoolFacts, QueueFacts, WorkerFacts
from jobpools.core.pools.memory import Memory
from jobpools.core.pools.plan import plan_pool
from jobpools.core.pools.requeue import ACTIVE, REST, UNKNOWN
from jobpools.core.pools.specs import Pool, PoolSpec
from jobpools.core.text.names import QueueName, WorkerId
from jobpools.errors import ObservationError
from tests.support.fakes import FakeCluster, FakeQueues, FakeReporter, World

POOL = Pool(
    meta=Meta(name="shop", generation=3), spec=PoolSpec.model_validate({"app": "shop:app", "queues": ["emails"]})
)


class Refusing(FakeCluster):
    """It can be read, and lets nobody scale."""

    async def scale(self, pool: Pool, replicas: int) -> None:
        raise ObservationError(f"{pool.meta.name}: {replicas} are too many")


class Unwilling(FakeCluster):
    """It refuses what the spec says now, and scales."""

    async def ensure(self, pool: Pool) -> None:
        raise ObservationError(f"{pool.meta.name}: spec.template is invalid")


def look(world: World, cluster: FakeCluster, before: dict[str, Any] | None) -> tuple[float, Any]:
    reporter, memories = FakeReporter(), dict[str, Memory]()
    reconciler = Reconciler(cluster, FakeQueues(world), reporter, memories, {"default/shop": before})
    waits = asyncio.run(reconcile([POOL], reconciler, world.now))
    (plan,) = reporter.plans["default/shop"]
    return waits["default/shop"], plan


def test_an_action_that_fails_is_told_once_and_tried_again_soon() -> None:
    world = World()
    world.enqueue("emails")
    wait, plan = look(world, Refusing(world), None)
    degraded = plan.status.condition("Degraded")
    assert (degraded["status"], degraded["reason"]) == ("True", "ActionFailed")
    assert degraded["message"] == "SetReplicas: shop: 1 are too many"
    assert [(event.reason, event.warning) for event in plan.events] == [("ActionFailed", True)]
    assert wait == UNKNOWN
    _, again = look(world, Refusing(world), plan.status.to_dict())
    assert again.events == ()
    _, mended = look(world, FakeCluster(world), again.status.to_dict())
    assert mended.status.condition("Degraded")["status"] == "False"


def test_a_spec_that_the_cluster_refuses_does_not_keep_what_runs_from_its_size() -> None:
    world = World()
    asyncio.run(
        FakeCluster(world).ensure(POOL.model_copy(update={"spec": POOL.spec.model_copy(update={"image": "1"})}))
    )
    world.enqueue("emails")
    _, plan = look(world, Unwilling(world), None)
    assert world.replicas == {"default/shop": 1}
    degraded = plan.status.condition("Degraded")
    assert degraded["message"] == "EnsurePool: shop: spec.template is invalid"


def test_what_is_not_there_and_cannot_be_made_is_not_scaled() -> None:
    world = World()
    world.enqueue("emails")
    _, plan = look(world, Unwilling(world), None)
    assert world.replicas == {}, "a Deployment of this name may be somebody else's"
    assert plan.status.condition("Degraded")["reason"] == "ActionFailed"
    ready = plan.status.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", "ActionFailed"), "no job that comes is worked on"
    assert [event.reason for event in plan.events] == ["ActionFailed"]


def test_a_pool_that_was_made_by_another_try_is_ready() -> None:
    world = World()
    _, plan = look(world, Unwilling(world), None)
    assert plan.status.condition("Ready")["status"] == "False", "nothing waits, and nothing could be worked on"
    _, mended = look(world, FakeCluster(world), plan.status.to_dict())
    assert mended.status.condition("Ready")["status"] == "True"


@pytest.mark.parametrize(
    ("mode", "jobs", "ready"),
    [("Manual", 3, ("False", "ZeroReplicas")), ("Manual", 0, ("True", "ScaledToZero")),
     ("Auto", 0, ("True", "ScaledToZero"))],
)  # fmt: skip
def test_no_worker_is_well_only_while_nothing_waits(mode: str, jobs: int, ready: tuple[str, str]) -> None:
    spec = POOL.spec.model_dump() | {"scaling": {"mode": mode}} | ({"replicas": 0} if mode == "Manual" else {})
    pool, world, reporter = Pool(meta=POOL.meta, spec=PoolSpec.model_validate(spec)), World(), FakeReporter()
    for _ in range(jobs):
        world.enqueue("emails")
    reconciler = Reconciler(FakeCluster(world), FakeQueues(world), reporter, {}, {})
    for _ in range(2):
        asyncio.run(reconcile([pool], reconciler, world.now))
    found = reporter.plans["default/shop"][-1].status.condition("Ready")
    assert (found["status"], found["reason"]) == ready
    if jobs:
        assert found["message"] == "scaling.mode is Manual: 0 workers are asked for, and 3 jobs wait"


def test_nobody_is_busy_without_a_lease() -> None:
    queue = QueueFacts(queued=0, due=0, scheduled=0, in_flight=1, dead=0, oldest_seconds=None)
    words = Heartbeat(WorkerId("a.1"), "default/shop", slots=5, busy=3, started=0, seen=1000, idle_since=None,
                      draining=False)  # fmt: skip
    cluster = ClusterFacts(replicas=1, current=True, workers=(WorkerFacts("a", ready=True),))
    facts = PoolFacts({QueueName("emails"): queue}, (words,), cluster)
    assert plan_pool(POOL, facts, Memory(), 1001, None).status.busy == 1, "the leases are younger than its word"
    unknown = PoolFacts(None, (words,), cluster)
    assert plan_pool(POOL, unknown, Memory(), 1001, None).status.busy == 3


@pytest.mark.parametrize("changing", [{"current": False}, {"replicas": None}, {"rolling": True}], ids=repr)
def test_what_is_being_changed_is_looked_at_again_soon(changing: dict[str, Any]) -> None:
    """The watch may have told already, before this look, that nothing more will change: then nobody wakes us."""
    queue = QueueFacts(queued=0, due=0, scheduled=0, in_flight=0, dead=0, oldest_seconds=None)
    cluster = ClusterFacts(replicas=0, current=True)
    facts = PoolFacts({QueueName("emails"): queue}, (), replace(cluster, **changing))
    assert plan_pool(POOL, facts, Memory(), 1001, None).requeue_after == ACTIVE
    assert plan_pool(POOL, replace(facts, cluster=cluster), Memory(), 1001, None).requeue_after == REST


def test_who_reports_and_is_not_listed_yet_is_not_taken_for_missing() -> None:
    """The watch of the pods is behind: shrinking by one that is `missing` would end one of the five that work."""
    queue = QueueFacts(queued=0, due=0, scheduled=0, in_flight=4, dead=0, oldest_seconds=None)
    rules = {"jobsPerWorker": 1, "behavior": {"scaleDown": {"stabilization": 0}}}
    pool = POOL.model_copy(update={"spec": PoolSpec.model_validate(POOL.spec.model_dump() | {"scaling": rules})})

    def facts(*reporting: str) -> PoolFacts:
        words = tuple(
            Heartbeat(WorkerId(f"{name}.1"), "default/shop", slots=1, busy=int(name != "e"), started=0, seen=1000,
                      idle_since=900 if name == "e" else None, draining=False)
            for name in reporting
        )  # fmt: skip
        cluster = ClusterFacts(
            replicas=5, current=True, workers=tuple(WorkerFacts(name, ready=True) for name in "abcd")
        )
        return PoolFacts({QueueName("emails"): queue}, words, cluster)

    assert SetReplicas(4) in plan_pool(pool, facts(*"abcd"), Memory(), 1001, None).actions
    assert plan_pool(pool, facts(*"abcde"), Memory(), 1001, None).actions == ()
