"""One planner for the pools of a Redis: a pool whose cluster does not answer holds up nobody else. A real Valkey."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, cast

import pytest

from jobpools import Client
from jobpools.core.objects import Meta
from jobpools.core.pools.facts import ClusterFacts, Memory, PoolFacts
from jobpools.core.pools.plan import Plan, plan_pool
from jobpools.core.pools.specs import Pool, PoolSpec
from jobpools.options import Options
from jobpools_operator.endpoint import AHEAD, BATCH
from jobpools_operator.http_routes import routes
from jobpools_operator.kube.client import Api
from jobpools_operator.kube.cluster import KubeCluster
from jobpools_operator.kube.lease import Leadership
from jobpools_operator.kube.report import KubeReporter
from jobpools_operator.kube.secret import Secrets
from jobpools_operator.wake import POOLS, Control, Endpoint, Tools
from tests.kube.processes import Valkey
from tests.support.fakes import FakeCluster, FakeReporter, World
from tests.support.waiting import until

SLOW, QUICK = "default/slow", "default/quick"


def pool_of(name: str, uid: str = "1") -> Pool:
    spec = {"image": "shop:1", "app": "shop:app", "queues": [name], "scaling": {"jobsPerWorker": 1}}
    return Pool(meta=Meta(name=name, uid=uid, generation=1), spec=PoolSpec.model_validate(spec))


class HangsCluster(FakeCluster):
    """Whose scaling of one pool does not end until it is let go."""

    def __init__(self) -> None:
        super().__init__(World())
        self.let_go = asyncio.Event()
        self.hangs = 0
        self.looks: Counter[str] = Counter()

    async def observe(self, pool: Pool) -> ClusterFacts:
        self.looks[pool.meta.key] += 1
        return await super().observe(pool)

    async def scale(self, pool: Pool, replicas: int) -> None:
        if pool.meta.key == SLOW:
            self.hangs += 1
            await self.let_go.wait()
        await super().scale(pool, replicas)


class Stage:
    """An endpoint, its cluster, its client."""

    def __init__(self, url: str) -> None:
        self.cluster, self.reporter = HangsCluster(), FakeReporter()
        # Only their ports are needed here.
        self.tools = Tools(cast("Any", self.cluster), cast("Any", self.reporter), cast("Any", None), url)
        self.endpoint = Endpoint(url, self.tools)
        self.client = Client(url)
        for name in ("slow", "quick"):
            self.endpoint.put(pool_of(name))

    @property
    def sizes(self) -> dict[str, int]:
        return self.cluster.world.replicas

    async def grown(self, key: str, size: int) -> None:
        await until(lambda: self.sizes[key] == size)

    def plans(self, key: str) -> list[Plan]:
        return self.reporter.plans[key]

    async def enqueue(self, queue: str, count: int) -> None:
        await self.client.enqueue_many(
            [self.client.call_json("work", {}, Options.make(queue=queue)) for _ in range(count)]
        )


@pytest.fixture
async def stage(valkey: Valkey) -> AsyncIterator[Stage]:
    """The slow pool's first scaling hangs."""
    made = Stage(valkey.url)
    task = asyncio.create_task(made.endpoint.run())
    await until(lambda: made.sizes == {SLOW: 0, QUICK: 0})
    await made.enqueue("slow", 1)
    await until(lambda: made.cluster.hangs == 1)
    yield made
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await made.client.aclose()


async def test_a_pool_that_hangs_holds_up_nobody(stage: Stage) -> None:
    for size in (1, 2, 3):
        await stage.enqueue("quick", 1)
        await stage.grown(QUICK, size)
    assert (stage.sizes[SLOW], stage.cluster.hangs) == (0, 1)


async def test_a_pool_that_hangs_has_one_pass_and_loses_no_wake_up(stage: Stage) -> None:
    await stage.enqueue("slow", 4)
    looks, others = stage.cluster.looks[SLOW], stage.cluster.looks[QUICK]
    stage.endpoint.touch_all()
    await until(lambda: stage.cluster.looks[QUICK] > others)
    assert stage.cluster.looks[SLOW] == looks, "never two passes of a pool"
    stage.cluster.let_go.set()
    await until(lambda: stage.sizes[SLOW] == 5)


async def test_a_pass_of_a_pool_that_is_gone_leaves_no_trace(stage: Stage) -> None:
    told = len(stage.plans(SLOW))
    stage.endpoint.drop(pool_of("slow"))
    stage.tools.memories.pop(SLOW)
    stage.tools.statuses.pop(SLOW)
    stage.cluster.let_go.set()
    looks = stage.cluster.looks[QUICK]
    stage.endpoint.touch_all()
    await until(lambda: stage.cluster.looks[QUICK] > looks)
    assert (stage.sizes[SLOW], len(stage.plans(SLOW))) == (0, told)
    assert SLOW not in stage.tools.memories
    assert SLOW not in stage.tools.statuses


async def test_a_pool_of_the_same_name_begins_anew(stage: Stage) -> None:
    stage.endpoint.drop(pool_of("slow"))
    stage.cluster.let_go.set()
    stage.endpoint.put(pool_of("slow", uid="2"))
    await until(lambda: stage.sizes[SLOW] == 1)
    assert stage.cluster.hangs == 2


async def test_a_pool_with_new_jobs_goes_before_pools_that_are_taken_up(valkey: Valkey) -> None:
    made = Stage(valkey.url)
    names = [f"many-{number}" for number in range(BATCH)]
    for name in names:
        made.endpoint.put(pool_of(name))
    made.endpoint.put(pool_of("urgent"))
    made.endpoint.touch("default/urgent", AHEAD)  # its queue was empty, and is not
    task = asyncio.create_task(made.endpoint.run())
    try:
        await until(lambda: len(made.sizes) == len(made.endpoint.pools))
        assert list(made.sizes).index("default/urgent") < BATCH, "it is in the first batch"
    finally:
        task.cancel()
        await asyncio.wait({task})
        await made.client.aclose()


async def test_what_was_counted_stays_counted_when_its_pool_goes() -> None:
    api, clock, pool = Api(None), time.monotonic, pool_of("slow")
    tools = Tools(KubeCluster(api, clock), KubeReporter(api, "a", clock), Secrets(api, clock), "redis://nowhere")
    control = Control(tools)
    control.seen(pool, {})
    plan = plan_pool(pool, PoolFacts(None, None, None), Memory(), 1000, None)
    await tools.report(pool, replace(plan, misdeletions=2))
    control.gone(POOLS, pool.meta)
    _, _, text = routes(control, Leadership(api, "default", "operator", "a", clock))["/metrics"]()
    assert "\njobpools_operator_pools 0\n" in text
    assert "\njobpools_misdeletions_total 2\n" in text
