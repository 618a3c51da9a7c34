"""One pass over the pools of a Redis endpoint: a failure is reported for its pool, and stops no other pool."""

from collections.abc import Sequence
from typing import Any, get_args

import pytest

from jobpools.control.reconcile import FAILURES, Reconciler, reconcile
from jobpools.core.objects import Meta
from jobpools.core.pools.actions import Action
from jobpools.core.pools.facts import EndpointFacts
from jobpools.core.pools.memory import Memory
from jobpools.core.pools.plan import Plan
from jobpools.core.pools.reasons import Reason
from jobpools.core.pools.requeue import RETRY_INTERVAL
from jobpools.core.pools.specs import Pool
from jobpools.errors import ObservationError
from jobpools.pool_settings import live_settings
from tests.support.fakes import FakeCluster, FakeQueues, FakeReporter, World
from tests.support.pools import KEY, make_pool, pool_spec

POOL = make_pool()


class BrokenQueues(FakeQueues):
    async def observe(self, pools: Sequence[Pool]) -> EndpointFacts:  # noqa: ARG002  # the port's signature
        raise ZeroDivisionError("a value that no code expects")


class UnscalableCluster(FakeCluster):
    async def scale(self, pool: Pool, replicas: int) -> None:
        raise ObservationError(f"{pool.meta.name}: {replicas} are too many")


class InvalidTemplateCluster(FakeCluster):
    """Refuses the present spec and still scales."""

    async def ensure(self, pool: Pool) -> None:
        raise ObservationError(f"{pool.meta.name}: spec.template is invalid")


async def run_pass(world: World, cluster: FakeCluster, before: dict[str, Any] | None) -> tuple[float, Plan]:
    reporter = FakeReporter()
    reconciler = Reconciler(cluster, FakeQueues(world), reporter, {}, {KEY: before})
    waits = await reconcile([POOL], reconciler, world.now)
    (plan,) = reporter.plans[KEY]
    return waits[KEY], plan


async def test_unexpected_errors_of_a_read_mean_unknown_and_sizes_are_held(caplog: pytest.LogCaptureFixture) -> None:
    world, reporter = World(), FakeReporter()
    cluster = FakeCluster(world)
    pools = [Pool(meta=Meta(name=name), spec=pool_spec()) for name in ("a", "b")]
    memories: dict[str, Memory] = {}
    for _ in range(2):
        await reconcile(pools, Reconciler(cluster, FakeQueues(world), reporter, memories, {}), world.now)
    await cluster.scale(pools[0], 3)

    waits = await reconcile(pools, Reconciler(cluster, BrokenQueues(world), reporter, memories, {}), world.now)

    assert set(waits) == {"default/a", "default/b"}
    assert world.replicas["default/a"] == 3
    ready = reporter.plans["default/a"][-1].status.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("Unknown", Reason.QUEUES_UNKNOWN)
    assert "a value that no code expects" in ready["message"]
    assert "the queues could not be read" in caplog.text


async def test_the_settings_of_running_workers_are_written_once_and_after_a_change() -> None:
    world, memories = World(), dict[str, Memory]()
    reconciler = Reconciler(FakeCluster(world), FakeQueues(world), FakeReporter(), memories, {})
    versions: list[str | None] = []
    for pool in (POOL, POOL, make_pool(concurrency=9)):
        world.settings.clear()
        await reconcile([pool], reconciler, world.now)
        versions.append(world.settings.get(KEY))
    assert versions == [live_settings(POOL).version, None, live_settings(make_pool(concurrency=9)).version]


async def test_a_failed_action_is_reported_once_and_tried_again_soon() -> None:
    world = World()
    world.enqueue("emails")
    wait, plan = await run_pass(world, UnscalableCluster(world), None)
    degraded = plan.status.condition("Degraded")
    assert (degraded["status"], degraded["reason"]) == ("True", Reason.ACTION_FAILED)
    assert degraded["message"] == "the number of workers could not be set: shop: 1 are too many"
    assert [(event.reason, event.warning) for event in plan.events] == [(Reason.ACTION_FAILED, True)]
    assert wait == RETRY_INTERVAL
    _, again = await run_pass(world, UnscalableCluster(world), plan.status.to_dict())
    assert again.events == ()
    _, recovered = await run_pass(world, FakeCluster(world), again.status.to_dict())
    assert recovered.status.condition("Degraded")["status"] == "False"


async def test_an_existing_pool_is_scaled_although_the_cluster_refuses_its_spec() -> None:
    world = World()
    await FakeCluster(world).ensure(make_pool(image="shop:1"))
    world.enqueue("emails")
    _, plan = await run_pass(world, InvalidTemplateCluster(world), None)
    assert world.replicas == {KEY: 1}
    message = plan.status.condition("Degraded")["message"]
    assert message == "the spec could not be applied: shop: spec.template is invalid"


def test_every_action_has_a_text_for_its_failure() -> None:
    assert FAILURES.keys() == set(get_args(Action))


async def test_a_pool_that_cannot_be_created_is_not_scaled() -> None:
    world = World()
    world.enqueue("emails")
    _, plan = await run_pass(world, InvalidTemplateCluster(world), None)
    assert world.replicas == {}, "a Deployment of this name may belong to another owner"
    assert plan.status.condition("Degraded")["reason"] == Reason.ACTION_FAILED
    ready = plan.status.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", Reason.ACTION_FAILED), "no job can be processed"
    assert [event.reason for event in plan.events] == [Reason.ACTION_FAILED]


async def test_a_pool_that_is_created_at_the_second_try_is_ready() -> None:
    world = World()
    _, plan = await run_pass(world, InvalidTemplateCluster(world), None)
    assert plan.status.condition("Ready")["status"] == "False"
    _, recovered = await run_pass(world, FakeCluster(world), plan.status.to_dict())
    assert recovered.status.condition("Ready")["status"] == "True"


@pytest.mark.parametrize(
    ("mode", "jobs", "expected"),
    [
        ("Manual", 3, ("False", Reason.ZERO_REPLICAS)),
        ("Manual", 0, ("True", Reason.SCALED_TO_ZERO)),
        ("Auto", 0, ("True", Reason.SCALED_TO_ZERO)),
    ],
)
async def test_a_pool_without_workers_is_ready_only_while_no_job_waits(
    mode: str, jobs: int, expected: tuple[str, str]
) -> None:
    pool = make_pool(scaling={"mode": mode}, **({"replicas": 0} if mode == "Manual" else {}))
    world, reporter = World(), FakeReporter()
    for _ in range(jobs):
        world.enqueue("emails")
    reconciler = Reconciler(FakeCluster(world), FakeQueues(world), reporter, {}, {})
    for _ in range(2):
        await reconcile([pool], reconciler, world.now)
    found = reporter.plans[KEY][-1].status.condition("Ready")
    assert (found["status"], found["reason"]) == expected
    if jobs:
        assert found["message"] == "scaling.mode is Manual: 0 workers are asked for, and 3 jobs wait"
