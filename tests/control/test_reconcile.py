"""One pass over the pools of a Redis endpoint: whatever goes wrong is told of its pools, and ends nothing."""

from collections.abc import Sequence

import pytest

from jobpools.control.reconcile import Reconciler, reconcile
from jobpools.core.objects import Meta
from jobpools.core.pools.facts import EndpointFacts
from jobpools.core.pools.memory import Memory
from jobpools.core.pools.specs import Pool, PoolSpec
from tests.support.fakes import FakeCluster, FakeQueues, FakeReporter, World


class BreaksQueues(FakeQueues):
    async def observe(self, pools: Sequence[Pool]) -> EndpointFacts:  # noqa: ARG002  # the port's signature
        raise ZeroDivisionError("a bug, or a value that nobody thought of")


async def test_a_read_that_breaks_is_unknown_and_sizes_are_held(caplog: pytest.LogCaptureFixture) -> None:
    world, reporter = World(), FakeReporter()
    cluster = FakeCluster(world)
    spec = PoolSpec.model_validate({"app": "shop:app", "queues": ["emails"]})
    pools = [Pool(meta=Meta(name=name), spec=spec) for name in ("a", "b")]
    memories: dict[str, Memory] = {}
    for _ in range(2):
        await reconcile(pools, Reconciler(cluster, FakeQueues(world), reporter, memories, {}), world.now)
    await cluster.scale(pools[0], 3)

    waits = await reconcile(pools, Reconciler(cluster, BreaksQueues(world), reporter, memories, {}), world.now)

    assert set(waits) == {"default/a", "default/b"}
    assert world.replicas["default/a"] == 3
    ready = reporter.plans["default/a"][-1].status.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("Unknown", "QueuesUnknown")
    assert "a bug, or a value that nobody thought of" in ready["message"]
    assert "the queues could not be read" in caplog.text
