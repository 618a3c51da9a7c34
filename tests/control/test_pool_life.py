"""Simulated lives of a pool: no job is lost, no busy worker is ended, and the pool settles again."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import example, given, settings, strategies as st

from jobpools.control.reconcile import Reconciler, reconcile
from jobpools.core.objects import Meta
from jobpools.core.pools.actions import SetReplicas
from jobpools.core.pools.facts import Problem
from jobpools.core.pools.memory import Memory
from jobpools.core.pools.plan import Plan
from jobpools.core.pools.specs import Pool, PoolSpec
from tests.support.fakes import FakeCluster, FakeQueues, FakeReporter, World

KEY = "default/shop"


def pool_of(**scaling: Any) -> Pool:
    rules: dict[str, Any] = {"idle": 20, "behavior": {"scaleDown": {"stabilization": 20}}} | scaling
    spec = {"app": "shop:app", "queues": ["emails"], "concurrency": 2, "scaling": rules}
    return Pool(meta=Meta(name="shop", generation=1), spec=PoolSpec.model_validate(spec))


@dataclass
class Life:
    pool: Pool
    start_delay: float = 2.0
    skew: float = 0.0
    """Seconds by which this process's clock is ahead of all others."""
    world: World = field(init=False)
    memories: dict[str, Memory] = field(default_factory=dict)
    status: dict[str, Any] | None = None
    sizes: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world = World(start_delay=self.start_delay)
        self.cluster, self.queues, self.reporter = FakeCluster(self.world), FakeQueues(self.world), FakeReporter()

    def reconciler(self, statuses: dict[str, dict[str, Any] | None]) -> Reconciler:
        return Reconciler(self.cluster, self.queues, self.reporter, self.memories, statuses)

    def run_pass(self) -> Plan:
        """Run one pass, and check what holds for every pass."""
        before = self.world.replicas.get(KEY, 0)
        unknown = self.cluster.away or self.queues.away
        reported = len(self.reporter.plans[KEY])
        asyncio.run(reconcile([self.pool], self.reconciler({KEY: self.status}), self.world.now + self.skew))
        assert len(self.reporter.plans[KEY]) == reported + 1, "each pass reports once"
        plan = self.reporter.plans[KEY][-1]
        self.status = plan.status.to_dict()
        after = self.world.replicas.get(KEY, 0)
        assert 0 <= after <= max(self.pool.spec.scaling.max, before)
        if unknown:
            assert after == before, "unknown never changes the size"
            assert plan.desired.value is None
        if after != before:
            self.sizes.append(after)
        return plan

    def run(self, seconds: float) -> Plan:
        until = self.world.now + seconds
        plan = self.run_pass()
        while self.world.now < until:
            self.world.advance(min(plan.requeue_after, until - self.world.now))
            plan = self.run_pass()
        return plan

    def until(self, condition: Callable[[], bool]) -> None:
        """Run passes until the condition holds; no time passes after the pass that made it hold."""
        for _ in range(200):
            self.run_pass()
            if condition():
                return
            self.world.advance(0.5)
        raise AssertionError("it did not come to pass")

    @property
    def live(self) -> int:
        return sum(not worker.terminating for worker in self.world.workers)

    @property
    def misdeletions(self) -> int:
        return sum(plan.misdeletions for plan in self.reporter.plans[KEY])

    @property
    def waiting(self) -> int:
        world = self.world
        return len(world.ready["emails"]) + len(world.scheduled["emails"]) + len(world.leases["emails"])


def test_from_zero_and_back() -> None:
    life = Life(pool_of(max=10, jobsPerWorker=10))
    life.run(5)
    assert life.live == 0
    jobs = {life.world.enqueue("emails") for _ in range(35)}
    plan = life.run_pass()
    assert SetReplicas(4) in plan.actions, "straight to the target, in one step"
    life.run(60)
    assert set(life.world.done) == jobs
    plan = life.run(60)
    assert life.live == 0
    assert life.sizes[-1] == 0
    assert life.world.killed_busy == []
    assert plan.desired.reason == "Idle"
    assert life.misdeletions == 0


@pytest.mark.parametrize("skew", [-300, 300])
def test_clocks_may_differ(skew: float) -> None:
    life = Life(pool_of(max=10, jobsPerWorker=1, min=1), skew=skew)
    jobs = [life.world.enqueue("emails", seconds=100, delay=20)]
    life.run(10)
    assert life.run_pass().requeue_after >= 1, "a job that falls due later needs no frequent passes"
    jobs += [life.world.enqueue("emails") for _ in range(6)]
    life.run(3)
    assert life.live == 6
    plan = life.run(60)
    assert (plan.status.busy, life.live) == (1, 1)
    life.run(100)
    assert (life.live, sorted(life.world.done)) == (1, jobs)
    assert life.world.killed_busy == []


def test_a_scheduled_job_wakes_a_sleeping_pool() -> None:
    life = Life(pool_of())
    job = life.world.enqueue("emails", delay=100)
    plan = life.run(90)
    assert life.live == 0
    assert plan.status.scheduled == 1
    life.run(20)
    assert life.world.done == [job]


def test_a_long_job_holds_its_worker_and_the_idle_ones_go() -> None:
    life = Life(pool_of(max=10, jobsPerWorker=2))
    for _ in range(4):
        life.world.enqueue("emails", seconds=300)
    life.run(10)
    for _ in range(6):
        life.world.enqueue("emails", seconds=1)
    life.run(100)
    assert max(life.sizes) == 5
    assert [len(worker.running) for worker in life.world.workers] == [2, 2], "only busy ones are left"
    assert life.world.killed_busy == []
    life.run(300)
    assert (life.live, life.waiting) == (0, 0)


def test_demand_during_a_scale_down_ends_it() -> None:
    life = Life(pool_of(max=4, jobsPerWorker=1))
    for _ in range(4):
        life.world.enqueue("emails", seconds=1)
    life.run(10)
    life.until(lambda: bool(life.world.draining["emails"]))
    assert life.world.draining["emails"]
    for _ in range(4):
        life.world.enqueue("emails", seconds=5)
    life.run(3)
    assert not life.world.draining["emails"]
    assert not any(worker.marked for worker in life.world.workers)
    assert life.live == 4
    assert life.world.killed_busy == []


def test_a_pool_whose_workers_never_start_reaches_zero() -> None:
    life = Life(pool_of(max=4, jobsPerWorker=1), start_delay=5)
    for _ in range(4):
        life.world.enqueue("emails")
    life.run_pass()
    for worker in life.world.workers:
        worker.problem = Problem("ImagePullBackOff", "no such image")
    life.world.advance(1)
    for worker in life.world.workers:
        worker.problem = Problem("ImagePullBackOff", "no such image")
    plan = life.run(20)
    assert plan.status.conditions[0]["reason"] == "ImagePullBackOff"
    life.world.ready["emails"].clear()
    life.run(60)
    assert life.live == 0


def test_paused_holds_and_claims_nothing() -> None:
    life = Life(pool_of(max=4, jobsPerWorker=1))
    for _ in range(4):
        life.world.enqueue("emails", seconds=3)
    life.run(4)
    running = life.pool
    life.pool = running.model_copy(update={"spec": running.spec.model_copy(update={"paused": True})})
    plan = life.run_pass()
    assert {each["type"]: each["status"] for each in plan.status.conditions}["Paused"] == "True"
    late = life.world.enqueue("emails")
    life.run(100)
    assert life.live == 4
    assert late not in life.world.done
    life.pool = running
    life.run(100)
    assert late in life.world.done
    assert life.live == 0


def test_manual_follows_the_spec() -> None:
    life = Life(pool_of())
    spec = {"app": "shop:app", "queues": ["emails"], "scaling": {"mode": "Manual"}}
    for replicas in (3, 20, 1, 0):
        life.pool = Pool(meta=Meta(name="shop"), spec=PoolSpec.model_validate(spec | {"replicas": replicas}))
        before = life.world.replicas.get(KEY, 0)
        for _ in range(30):
            asyncio.run(reconcile([life.pool], life.reconciler({}), life.world.now))
            life.world.advance(0.5)
        assert life.live == replicas, before


def test_a_misdeletion_is_counted_and_its_survivor_unlocked() -> None:
    life = Life(pool_of(max=4, jobsPerWorker=1, min=1))
    for _ in range(4):
        life.world.enqueue("emails")
    life.run(10)
    life.until(lambda: life.memories[KEY].scaled_down_to is not None)
    chosen = life.memories[KEY].chosen
    assert len(chosen) == 3
    other = next(worker for worker in life.world.workers if worker.name not in chosen)
    other.marked, other.created = True, life.world.now + 1  # the cluster takes the wrong one first
    life.world.advance(0.2)
    life.run(2)
    assert life.misdeletions == 1
    assert "Misdeleted" in {event.reason for plan in life.reporter.plans[KEY] for event in plan.events}
    assert not life.world.draining["emails"] & {worker.id for worker in life.world.workers}


@pytest.mark.parametrize("lose", [False, True], ids=["with memory", "losing its memory every few passes"])
def test_the_loop_works_without_its_memory(lose: bool) -> None:  # noqa: FBT001
    life = Life(pool_of(max=4, jobsPerWorker=1, behavior={"scaleDown": {"stabilization": 0}}))
    for _ in range(4):
        life.world.enqueue("emails")
    for step in range(400):
        if lose and step % 5 == 0:
            life.memories.clear()
        life.run(0.5)
    assert life.waiting == 0
    assert life.world.killed_busy == []


steps = st.lists(
    st.one_of(
        st.tuples(st.just("enqueue"), st.integers(1, 30), st.floats(0.1, 20)),
        st.tuples(st.just("schedule"), st.integers(1, 60), st.floats(0.1, 5)),
        st.tuples(st.just("wait"), st.floats(0.1, 40), st.just(0.0)),
        st.tuples(st.just("crash"), st.integers(0, 9), st.just(0.0)),
        st.tuples(st.just("redis away"), st.floats(0.1, 20), st.just(0.0)),
        st.tuples(st.just("cluster away"), st.floats(0.1, 20), st.just(0.0)),
        st.tuples(st.just("forget"), st.just(0), st.just(0.0)),
    ),
    min_size=1,
    max_size=12,
)
shapes = st.fixed_dictionaries(
    {
        "min": st.integers(0, 2),
        "max": st.integers(2, 8),
        "jobsPerWorker": st.integers(1, 10),
        "targetWait": st.sampled_from([1, 5, 30]),
        "idle": st.sampled_from([0, 5, 20]),
        "behavior": st.fixed_dictionaries(
            {
                "scaleUp": st.fixed_dictionaries(
                    {
                        "stabilization": st.sampled_from([0, 0, 3]),
                        "policies": st.sampled_from([(), ({"type": "Workers", "value": 2, "period": 5},)]),
                    }
                ),
                "scaleDown": st.fixed_dictionaries(
                    {
                        "stabilization": st.sampled_from([0, 10]),
                        "policies": st.sampled_from([(), ({"type": "Percent", "value": 50, "period": 5},)]),
                    }
                ),
            }
        ),
    }
)

EAGER = {
    "min": 1,
    "max": 5,
    "jobsPerWorker": 4,
    "targetWait": 1,
    "idle": 0,
    "behavior": {rules: {"stabilization": 0, "policies": ()} for rules in ("scaleUp", "scaleDown")},
}


def live_through(life: Life, step: tuple[str, float, float]) -> None:
    what, amount, more = step
    world = life.world
    match what:
        case "enqueue":
            for _ in range(int(amount)):
                world.enqueue("emails", seconds=more)
        case "schedule":
            world.enqueue("emails", seconds=more, delay=amount)
        case "crash" if world.workers:
            world.crash(world.workers[int(amount) % len(world.workers)])
        case "forget":
            life.memories.clear()
        case "redis away" | "cluster away":
            port = life.queues if what == "redis away" else life.cluster
            port.away = True
            life.run(amount)
            port.away = False
    life.run(amount if what == "wait" else 0.3)


@settings(max_examples=60)
@given(shapes, steps, st.sampled_from([0.1, 2.0, 9.0]))
@example(EAGER, [("wait", 9.0, 0.0), ("enqueue", 13, 10.0)], 9.0)  # one too many becomes ready as it is to go
def test_any_life(shape: dict[str, Any], story: list[tuple[str, float, float]], start_delay: float) -> None:
    life = Life(pool_of(**shape), start_delay=start_delay)
    for step in story:
        live_through(life, step)
    known = len(life.sizes)
    deadline = life.world.now + 3000
    while life.waiting and life.world.now < deadline:
        life.run(10)
    assert life.waiting == 0, "the queue drains"
    life.run(120)
    assert life.live == life.world.replicas[KEY] == shape["min"], "the pool comes to rest at its minimum"
    assert life.world.killed_busy == [], "no busy worker was ended"
    assert life.misdeletions <= life.world.crashes, "one that crashes in between leaves a chosen one alive"
    assert not life.world.draining["emails"] & {worker.id for worker in life.world.workers}
    ends = life.sizes[known:]
    turns = sum((b > a) != (c > b) for a, b, c in zip(ends, ends[1:], ends[2:], strict=False))
    assert turns <= 8, f"it flaps: {ends}"
    settled = len(life.sizes)
    life.run(60)
    assert len(life.sizes) == settled, "and stays at rest"
