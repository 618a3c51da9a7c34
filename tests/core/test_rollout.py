"""Shrinking while a rollout is under way, or stands still: the cluster takes from each generation what it likes."""

from dataclasses import replace

import pytest

from jobpools.core.objects import Meta
from jobpools.core.pools.actions import DrainWorkers, MarkWorkers, SetReplicas, UndrainWorkers
from jobpools.core.pools.facts import ClusterFacts, Heartbeat, PoolFacts, Problem, QueueFacts, WorkerFacts
from jobpools.core.pools.memory import Memory
from jobpools.core.pools.plan import Plan, plan_pool
from jobpools.core.pools.removal import STARTUP
from jobpools.core.pools.requeue import ACTIVE
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

    def look(self) -> Plan:
        queue = QueueFacts(queued=0, due=0, scheduled=0, in_flight=len(self.busy), dead=0, oldest_seconds=None)
        words = tuple(
            Heartbeat(WorkerId(f"{name}.1"), "default/shop", slots=5, busy=int(name in self.busy), started=0,
                      seen=1000, idle_since=None if name in self.busy else 10, draining=name in self.locked)
            for name in "abc"
        )  # fmt: skip
        old = (WorkerFacts(name, ready=True, generation="1", marked=name in self.marked) for name in "abc")
        cluster = ClusterFacts(replicas=3, current=True, workers=(*old, self.new), rolling=True)
        plan = plan_pool(self.pool, PoolFacts({QueueName("emails"): queue}, words, cluster), self.memory, 1001, None)
        self.memory = replace(plan.memory, locked=tuple(f"{name}.1" for name in self.locked))
        return plan


@pytest.mark.parametrize(("busy", "size"), [("", 1), ("a", 2)])
def test_a_rollout_to_what_never_starts_keeps_no_idle_worker(busy: str, size: int) -> None:
    """Beside the surplus the old generation may have to give one for the new one, which is beyond the size."""
    rollout, idle = Rollout(busy=busy), "".join(sorted({*"abc"} - {*busy}))
    (drain,) = rollout.look().actions
    assert drain == DrainWorkers(tuple(f"{name}.1" for name in idle))
    rollout.locked = idle
    rollout.look()
    assert rollout.look().actions == (MarkWorkers(tuple(idle)),), "who was never ready needs no mark"
    rollout.marked = idle
    assert rollout.look().actions == (SetReplicas(size),)


def test_a_rollout_that_would_cost_a_busy_worker_is_waited_for() -> None:
    rollout = Rollout(busy="ab")
    rollout.locked = rollout.marked = "c"
    plan = rollout.look()
    assert plan.actions == (UndrainWorkers((WorkerId("c.1"),)), MarkWorkers(()))
    rollout.locked = rollout.marked = ""
    plan = rollout.look()
    assert plan.actions == ()
    assert plan.requeue_after == ACTIVE, "it may stand still for days"


def test_who_begins_in_a_rollout_may_be_at_work_the_next_moment() -> None:
    begins = WorkerFacts("d", ready=False, generation="2", started=1001 - STARTUP)
    assert Rollout(busy="", new=begins).look().actions == ()
    hangs = replace(begins, started=1000 - STARTUP)
    assert Rollout(busy="", new=hangs).look().actions != ()
