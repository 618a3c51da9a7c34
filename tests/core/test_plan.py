"""What a pass says when it could not do what it decided."""

import asyncio
from typing import Any

from jobpools.control.reconcile import reconcile
from jobpools.core.conditions import condition
from jobpools.core.facts import Memory
from jobpools.core.plan import UNKNOWN
from jobpools.core.specs import Meta, Pool, PoolSpec
from jobpools.errors import ObservationError
from tests.support.fakes import FakeCluster, FakeQueues, FakeReporter, World

POOL = Pool(
    meta=Meta(name="shop", generation=3), spec=PoolSpec.model_validate({"app": "shop:app", "queues": ["emails"]})
)


class Refusing(FakeCluster):
    """It can be read, and lets nobody scale."""

    async def scale(self, pool: Pool, replicas: int) -> None:
        raise ObservationError(f"{pool.meta.name}: {replicas} are too many")


def look(world: World, cluster: FakeCluster, before: dict[str, Any] | None) -> tuple[float, Any]:
    reporter, memories = FakeReporter(), dict[str, Memory]()
    waits = asyncio.run(
        reconcile([POOL], cluster, FakeQueues(world), reporter, memories, {"default/shop": before}, world.now)
    )
    (plan,) = reporter.plans["default/shop"]
    return waits["default/shop"], plan


def test_an_action_that_fails_is_told_once_and_tried_again_soon() -> None:
    world = World()
    world.enqueue("emails")
    wait, plan = look(world, Refusing(world), None)
    degraded = condition(plan.status, "Degraded")
    assert (degraded["status"], degraded["reason"]) == ("True", "ActionFailed")
    assert degraded["message"] == "SetReplicas: shop: 1 are too many"
    assert [(event.reason, event.warning) for event in plan.events] == [("ActionFailed", True)]
    assert wait == UNKNOWN
    _, again = look(world, Refusing(world), plan.status)
    assert again.events == ()
    _, mended = look(world, FakeCluster(world), again.status)
    assert condition(mended.status, "Degraded")["status"] == "False"
