"""A pool, its cluster and its queues in simulated time: no job is lost, and no busy worker is ended."""

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
class Simulation:
    """Runs passes over one pool. Time passes only between them."""

    pool: Pool
    start_delay: float = 2.0
    """Seconds from the creation of a worker until it is ready."""
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
        """Run a pass whenever one is due; return the plan of the last one."""
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
        raise AssertionError("the condition did not hold after any of 200 passes")

    @property
    def live_workers(self) -> int:
        return sum(not worker.terminating for worker in self.world.workers)

    @property
    def misdeletions(self) -> int:
        return sum(plan.misdeletions for plan in self.reporter.plans[KEY])

    @property
    def unfinished_jobs(self) -> int:
        world = self.world
        return len(world.ready["emails"]) + len(world.scheduled["emails"]) + len(world.leases["emails"])


def test_a_pool_scales_up_from_zero_and_back_to_zero() -> None:
    simulation = Simulation(pool_of(max=10, jobsPerWorker=10))
    simulation.run(5)
    assert simulation.live_workers == 0
    jobs = {simulation.world.enqueue("emails") for _ in range(35)}
    plan = simulation.run_pass()
    assert SetReplicas(4) in plan.actions, "the pool must be scaled to its target in one step"
    simulation.run(60)
    assert set(simulation.world.done) == jobs
    plan = simulation.run(60)
    assert simulation.live_workers == 0
    assert simulation.sizes[-1] == 0
    assert simulation.world.killed_busy == []
    assert plan.desired.reason == "Idle"
    assert simulation.misdeletions == 0


@pytest.mark.parametrize("skew", [-300, 300])
def test_a_wrong_clock_of_this_process_changes_no_size(skew: float) -> None:
    simulation = Simulation(pool_of(max=10, jobsPerWorker=1, min=1), skew=skew)
    jobs = [simulation.world.enqueue("emails", seconds=100, delay=20)]
    simulation.run(10)
    assert simulation.run_pass().requeue_after >= 1, "a scheduled job needs no frequent passes"
    jobs += [simulation.world.enqueue("emails") for _ in range(6)]
    simulation.run(3)
    assert simulation.live_workers == 6
    plan = simulation.run(60)
    assert (plan.status.busy, simulation.live_workers) == (1, 1)
    simulation.run(100)
    assert (simulation.live_workers, sorted(simulation.world.done)) == (1, jobs)
    assert simulation.world.killed_busy == []


def test_a_due_job_scales_up_a_pool_without_workers() -> None:
    simulation = Simulation(pool_of())
    job = simulation.world.enqueue("emails", delay=100)
    plan = simulation.run(90)
    assert simulation.live_workers == 0
    assert plan.status.scheduled == 1
    simulation.run(20)
    assert simulation.world.done == [job]


def test_busy_workers_stay_while_idle_ones_are_removed() -> None:
    simulation = Simulation(pool_of(max=10, jobsPerWorker=2))
    for _ in range(4):
        simulation.world.enqueue("emails", seconds=300)
    simulation.run(10)
    for _ in range(6):
        simulation.world.enqueue("emails", seconds=1)
    simulation.run(100)
    assert max(simulation.sizes) == 5
    assert [len(worker.running) for worker in simulation.world.workers] == [2, 2], "only busy workers are left"
    assert simulation.world.killed_busy == []
    simulation.run(300)
    assert (simulation.live_workers, simulation.unfinished_jobs) == (0, 0)


def test_new_jobs_during_a_scale_down_end_it() -> None:
    simulation = Simulation(pool_of(max=4, jobsPerWorker=1))
    for _ in range(4):
        simulation.world.enqueue("emails", seconds=1)
    simulation.run(10)
    simulation.until(lambda: bool(simulation.world.draining["emails"]))
    assert simulation.world.draining["emails"]
    for _ in range(4):
        simulation.world.enqueue("emails", seconds=5)
    simulation.run(3)
    assert not simulation.world.draining["emails"]
    assert not any(worker.marked for worker in simulation.world.workers)
    assert simulation.live_workers == 4
    assert simulation.world.killed_busy == []


def test_a_pool_whose_workers_never_start_is_scaled_to_zero() -> None:
    simulation = Simulation(pool_of(max=4, jobsPerWorker=1), start_delay=5)
    for _ in range(4):
        simulation.world.enqueue("emails")
    simulation.run_pass()
    for worker in simulation.world.workers:
        worker.problem = Problem("ImagePullBackOff", "no such image")
    simulation.world.advance(1)
    for worker in simulation.world.workers:
        worker.problem = Problem("ImagePullBackOff", "no such image")
    plan = simulation.run(20)
    assert plan.status.conditions[0]["reason"] == "ImagePullBackOff"
    simulation.world.ready["emails"].clear()
    simulation.run(60)
    assert simulation.live_workers == 0


def test_a_paused_pool_keeps_its_workers_and_claims_no_job() -> None:
    simulation = Simulation(pool_of(max=4, jobsPerWorker=1))
    for _ in range(4):
        simulation.world.enqueue("emails", seconds=3)
    simulation.run(4)
    running = simulation.pool
    simulation.pool = running.model_copy(update={"spec": running.spec.model_copy(update={"paused": True})})
    plan = simulation.run_pass()
    assert {each["type"]: each["status"] for each in plan.status.conditions}["Paused"] == "True"
    late = simulation.world.enqueue("emails")
    simulation.run(100)
    assert simulation.live_workers == 4
    assert late not in simulation.world.done
    simulation.pool = running
    simulation.run(100)
    assert late in simulation.world.done
    assert simulation.live_workers == 0


def test_a_manual_pool_follows_spec_replicas() -> None:
    simulation = Simulation(pool_of())
    spec = {"app": "shop:app", "queues": ["emails"], "scaling": {"mode": "Manual"}}
    for replicas in (3, 20, 1, 0):
        simulation.pool = Pool(meta=Meta(name="shop"), spec=PoolSpec.model_validate(spec | {"replicas": replicas}))
        before = simulation.world.replicas.get(KEY, 0)
        for _ in range(30):
            asyncio.run(reconcile([simulation.pool], simulation.reconciler({}), simulation.world.now))
            simulation.world.advance(0.5)
        assert simulation.live_workers == replicas, before


def test_a_misdeletion_is_counted_and_its_survivor_may_claim_again() -> None:
    simulation = Simulation(pool_of(max=4, jobsPerWorker=1, min=1))
    for _ in range(4):
        simulation.world.enqueue("emails")
    simulation.run(10)
    simulation.until(lambda: simulation.memories[KEY].scaled_down_to is not None)
    chosen = simulation.memories[KEY].chosen
    assert len(chosen) == 3
    other = next(worker for worker in simulation.world.workers if worker.name not in chosen)
    other.marked, other.created = True, simulation.world.now + 1  # the cluster removes the wrong worker first
    simulation.world.advance(0.2)
    simulation.run(2)
    assert simulation.misdeletions == 1
    assert "Misdeleted" in {event.reason for plan in simulation.reporter.plans[KEY] for event in plan.events}
    assert not simulation.world.draining["emails"] & {worker.id for worker in simulation.world.workers}


@pytest.mark.parametrize("lose", [False, True], ids=["with memory", "losing its memory every few passes"])
def test_jobs_are_completed_although_the_memory_is_lost(lose: bool) -> None:  # noqa: FBT001
    simulation = Simulation(pool_of(max=4, jobsPerWorker=1, behavior={"scaleDown": {"stabilization": 0}}))
    for _ in range(4):
        simulation.world.enqueue("emails")
    for step in range(400):
        if lose and step % 5 == 0:
            simulation.memories.clear()
        simulation.run(0.5)
    assert simulation.unfinished_jobs == 0
    assert simulation.world.killed_busy == []


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
scalings = st.fixed_dictionaries(
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

WITHOUT_WAITS = {
    "min": 1,
    "max": 5,
    "jobsPerWorker": 4,
    "targetWait": 1,
    "idle": 0,
    "behavior": {rules: {"stabilization": 0, "policies": ()} for rules in ("scaleUp", "scaleDown")},
}


def apply_step(simulation: Simulation, step: tuple[str, float, float]) -> None:
    """Let one event happen. A step is its name, an amount, and the seconds that each job takes."""
    what, amount, seconds = step
    world = simulation.world
    match what:
        case "enqueue":
            for _ in range(int(amount)):
                world.enqueue("emails", seconds=seconds)
        case "schedule":
            world.enqueue("emails", seconds=seconds, delay=amount)
        case "crash" if world.workers:
            world.crash(world.workers[int(amount) % len(world.workers)])
        case "forget":
            simulation.memories.clear()
        case "redis away" | "cluster away":
            port = simulation.queues if what == "redis away" else simulation.cluster
            port.away = True
            simulation.run(amount)
            port.away = False
    simulation.run(amount if what == "wait" else 0.3)


@settings(max_examples=60)
@given(scalings, steps, st.sampled_from([0.1, 2.0, 9.0]))
# A surplus worker becomes ready while it is being removed:
@example(WITHOUT_WAITS, [("wait", 9.0, 0.0), ("enqueue", 13, 10.0)], 9.0)
def test_any_events_end_with_an_empty_queue_and_the_minimum_of_workers(
    scaling: dict[str, Any], events: list[tuple[str, float, float]], start_delay: float
) -> None:
    simulation = Simulation(pool_of(**scaling), start_delay=start_delay)
    for step in events:
        apply_step(simulation, step)
    known = len(simulation.sizes)
    deadline = simulation.world.now + 3000
    while simulation.unfinished_jobs and simulation.world.now < deadline:
        simulation.run(10)
    assert simulation.unfinished_jobs == 0, "the queue drains"
    simulation.run(120)
    assert simulation.live_workers == simulation.world.replicas[KEY] == scaling["min"], (
        "the pool settles at its minimum"
    )
    assert simulation.world.killed_busy == [], "no busy worker was ended"
    assert simulation.misdeletions <= simulation.world.crashes, (
        "a worker that crashes meanwhile lets a chosen worker survive"
    )
    assert not simulation.world.draining["emails"] & {worker.id for worker in simulation.world.workers}
    sizes = simulation.sizes[known:]
    reversals = sum((b > a) != (c > b) for a, b, c in zip(sizes, sizes[1:], sizes[2:], strict=False))
    assert reversals <= 8, f"the size oscillates: {sizes}"
    settled = len(simulation.sizes)
    simulation.run(60)
    assert len(simulation.sizes) == settled, "the size stays the same"
