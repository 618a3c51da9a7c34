"""One planner for all pools of an endpoint: a pool whose cluster does not respond delays no other. A real Valkey."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import cast

import pytest

from jobpools import Client
from jobpools.core.objects import Meta
from jobpools.core.pools.facts import ClusterFacts
from jobpools.core.pools.plan import Plan
from jobpools.core.pools.specs import Pool, PoolSpec
from jobpools.options import Options
from jobpools_operator.endpoint import Endpoint, EndpointContext
from jobpools_operator.kinds import Kind, ObjectId
from jobpools_operator.reporter import Counters, Reporter
from jobpools_operator.statuses import Statuses
from tests.kube.processes import Valkey
from tests.support.fakes import FakeCluster, FakeReporter, World
from tests.support.waiting import until

SLOW, QUICK = "default/slow", "default/quick"


def pool_of(name: str, uid: str = "1") -> Pool:
    spec = {"image": "shop:1", "app": "shop:app", "queues": [name], "scaling": {"jobsPerWorker": 1}}
    return Pool(meta=Meta(name=name, uid=uid, generation=1), spec=PoolSpec.model_validate(spec))


class HangingCluster(FakeCluster):
    """A cluster in which scaling the slow pool does not return until `released` is set."""

    def __init__(self) -> None:
        super().__init__(World())
        self.released = asyncio.Event()
        self.hanging = 0
        self.observed: Counter[str] = Counter()

    async def observe(self, pool: Pool) -> ClusterFacts:
        self.observed[pool.meta.key] += 1
        return await super().observe(pool)

    async def scale(self, pool: Pool, replicas: int) -> None:
        if pool.meta.key == SLOW:
            self.hanging += 1
            await self.released.wait()
        await super().scale(pool, replicas)


class StatusReporter(FakeReporter):
    """Notes statuses as the operator's reporter does."""

    def __init__(self, statuses: Statuses) -> None:
        super().__init__()
        self.statuses = statuses

    async def report(self, pool: Pool, plan: Plan) -> None:
        await super().report(pool, plan)
        self.statuses.report(ObjectId.of(Kind.POOL, pool.meta), plan.status.to_dict())


class Setup:
    """An endpoint with two pools, its cluster and a client."""

    def __init__(self, url: str) -> None:
        self.cluster, self.statuses = HangingCluster(), Statuses(time.monotonic)
        self.reporter = StatusReporter(self.statuses)
        reporter = cast("Reporter", self.reporter)  # of Reporter, what pools use
        self.context = EndpointContext(self.cluster, reporter, self.statuses, Counters())
        self.endpoint = Endpoint.open(url, self.context)
        self.client = Client(url)
        for name in ("slow", "quick"):
            self.endpoint.put(pool_of(name), None)

    @property
    def sizes(self) -> dict[str, int]:
        return self.cluster.world.replicas

    async def scaled(self, key: str, size: int) -> None:
        await until(lambda: self.sizes[key] == size)

    def plans(self, key: str) -> list[Plan]:
        return self.reporter.plans[key]

    def touch_all(self) -> None:
        for key in (SLOW, QUICK):
            self.endpoint.touch(key)

    async def enqueue(self, queue: str, count: int) -> None:
        await self.client.enqueue_many(
            [self.client.call_json("work", {}, Options.make(queue=queue)) for _ in range(count)]
        )


@pytest.fixture
async def setup(valkey: Valkey) -> AsyncIterator[Setup]:
    """A running endpoint whose slow pool hangs in its first scaling."""
    made = Setup(valkey.url)
    task = asyncio.create_task(made.endpoint.run())
    await until(lambda: made.sizes == {SLOW: 0, QUICK: 0})
    await made.enqueue("slow", 1)
    await until(lambda: made.cluster.hanging == 1)
    yield made
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await made.client.aclose()


async def test_a_hanging_pass_does_not_delay_other_pools(setup: Setup) -> None:
    for size in (1, 2, 3):
        await setup.enqueue("quick", 1)
        await setup.scaled(QUICK, size)
    assert (setup.sizes[SLOW], setup.cluster.hanging) == (0, 1)


async def test_a_pool_has_one_pass_at_a_time_and_loses_no_wake_up(setup: Setup) -> None:
    await setup.enqueue("slow", 4)
    slow, quick = setup.cluster.observed[SLOW], setup.cluster.observed[QUICK]
    setup.touch_all()
    await until(lambda: setup.cluster.observed[QUICK] > quick)
    assert setup.cluster.observed[SLOW] == slow, "the pool must not have two passes at once"
    setup.cluster.released.set()
    await until(lambda: setup.sizes[SLOW] == 5)


async def test_the_pass_of_a_dropped_pool_leaves_nothing_behind(setup: Setup) -> None:
    reported, slow = len(setup.plans(SLOW)), ObjectId(Kind.POOL, SLOW)
    setup.endpoint.drop(pool_of("slow"))
    setup.context.memories.pop(SLOW)
    setup.statuses.forget(slow)
    setup.cluster.released.set()
    observed = setup.cluster.observed[QUICK]
    setup.touch_all()
    await until(lambda: setup.cluster.observed[QUICK] > observed)
    assert (setup.sizes[SLOW], len(setup.plans(SLOW))) == (0, reported)
    assert SLOW not in setup.context.memories
    assert setup.statuses.reported(slow) is None


async def test_a_new_pool_with_the_name_of_a_dropped_one_has_a_pass_of_its_own(setup: Setup) -> None:
    setup.endpoint.drop(pool_of("slow"))
    setup.cluster.released.set()
    setup.endpoint.put(pool_of("slow", uid="2"), None)
    await until(lambda: setup.sizes[SLOW] == 1)
    assert setup.cluster.hanging == 2
