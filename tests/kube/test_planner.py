"""The order of passes: pools with new jobs overtake new pools. Queues and cluster are fakes."""

import asyncio

from jobpools.control.reconcile import Reconciler
from jobpools.core.objects import Meta
from jobpools.core.pools.specs import Pool, PoolSpec
from jobpools_operator.planner import BATCH, PoolPlanner
from jobpools_operator.reporter import Counters
from tests.support.fakes import FakeCluster, FakeQueues, FakeReporter, World
from tests.support.waiting import until


def pool_of(name: str) -> Pool:
    spec = {"image": "shop:1", "app": "shop:app", "queues": [name]}
    return Pool(meta=Meta(name=name, uid="1", generation=1), spec=PoolSpec.model_validate(spec))


async def test_a_pool_with_new_jobs_overtakes_new_pools() -> None:
    world = World()
    reconciler = Reconciler(FakeCluster(world), FakeQueues(world), FakeReporter(), {}, {})
    counters = Counters()
    planner = PoolPlanner(reconciler, counters, clock=lambda: 1000.0)
    for number in range(BATCH):
        planner.put(pool_of(f"many-{number}"))
    planner.put(pool_of("urgent"))
    planner.touch_queue("urgent")
    task = asyncio.create_task(planner.run())
    try:
        await until(lambda: len(world.replicas) == len(planner.pools))
        assert list(world.replicas).index("default/urgent") < BATCH, "the pool must be in the first batch"
        assert counters.passes == BATCH + 1
    finally:
        task.cancel()
        await asyncio.wait({task})
