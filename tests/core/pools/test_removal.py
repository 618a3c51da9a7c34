"""Scale-down during a rollout, in progress or stuck: the cluster removes workers of each generation."""

from dataclasses import replace

import pytest

from jobpools.core.objects import Meta
from jobpools.core.pools.actions import DrainWorkers, MarkWorkers, SetReplicas, UndrainWorkers
from jobpools.core.pools.facts import ClusterFacts, Heartbeat, PoolFacts, Problem, QueueFacts, WorkerFacts
from jobpools.core.pools.memory import Memory
from jobpools.core.pools.plan import Plan, plan_pool
from jobpools.core.pools.removal import STARTUP_TIME
from jobpools.core.pools.requeue import ACTIVE_INTERVAL
from jobpools.core.pools.specs import Pool, PoolSpec
from jobpools.core.text.names import QueueName, WorkerId

SPEC = {"app": "shop:app", "queues": ["emails"]}


class Rollout:
    """Three workers of the old spec, `a` to `c`, and one of the new; one of the three is wanted."""

    def __init__(self, *, busy: str, new: WorkerFacts | None = None) -> None:
        self.busy = busy
        self.new = new or WorkerFacts(
            "d", ready=False, problem=Problem("ImagePullBackOff", "no such image"), generation="2"
        )
        rules = {"min": 1, "idle": 0, "behavior": {"scaleDown": {"stabilization": 0}}}
        self.pool = Pool(meta=Meta(name="shop"), spec=PoolSpec.model_validate(SPEC | {"scaling": rules}))
        self.memory = Memory()
        self.locked = self.marked = ""

    def run_pass(self) -> Plan:
        queue = QueueFacts(queued=0, due=0, scheduled=0, in_flight=len(self.busy), dead=0, oldest_seconds=None)
        heartbeats = tuple(
            Heartbeat(WorkerId(f"{name}.1"), "default/shop", slots=5, busy=int(name in self.busy), started=0,
                      seen=1000, idle_since=None if name in self.busy else 10, draining=name in self.locked)
            for name in "abc"
        )  # fmt: skip
        old = (WorkerFacts(name, ready=True, generation="1", marked=name in self.marked) for name in "abc")
        cluster = ClusterFacts(replicas=3, current=True, workers=(*old, self.new), rolling=True)
        facts = PoolFacts({QueueName("emails"): queue}, heartbeats, cluster)
        plan = plan_pool(self.pool, facts, self.memory, 1001, None)
        self.memory = replace(plan.memory, locked=tuple(f"{name}.1" for name in self.locked))
        return plan


@pytest.mark.parametrize(("busy", "size"), [("", 1), ("a", 2)])
def test_a_rollout_to_a_broken_image_keeps_no_idle_worker(busy: str, size: int) -> None:
    """The old generation may lose the surplus, and one worker more for the new one, which is beyond the size."""
    rollout, idle = Rollout(busy=busy), "".join(sorted({*"abc"} - {*busy}))
    (drain,) = rollout.run_pass().actions
    assert drain == DrainWorkers(tuple(f"{name}.1" for name in idle))
    rollout.locked = idle
    rollout.run_pass()
    assert rollout.run_pass().actions == (MarkWorkers(tuple(idle)),), "a worker that was never ready needs no mark"
    rollout.marked = idle
    assert rollout.run_pass().actions == (SetReplicas(size),)


def test_a_scale_down_waits_for_a_rollout_that_could_remove_a_busy_worker() -> None:
    rollout = Rollout(busy="ab")
    rollout.locked = rollout.marked = "c"
    plan = rollout.run_pass()
    assert plan.actions == (UndrainWorkers((WorkerId("c.1"),)), MarkWorkers(()))
    rollout.locked = rollout.marked = ""
    plan = rollout.run_pass()
    assert plan.actions == ()
    assert plan.requeue_after == ACTIVE_INTERVAL, "a stuck rollout may last for days"


def test_a_starting_worker_of_a_rollout_is_not_removed() -> None:
    begins = WorkerFacts("d", ready=False, generation="2", started=1001 - STARTUP_TIME)
    assert Rollout(busy="", new=begins).run_pass().actions == ()
    hangs = replace(begins, started=1000 - STARTUP_TIME)
    assert Rollout(busy="", new=hangs).run_pass().actions != ()
