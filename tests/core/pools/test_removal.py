"""Scale-down during a rollout, in progress or stuck: the cluster removes workers of each generation."""

from dataclasses import replace

import pytest

from jobpools.core.pools.actions import DrainWorkers, MarkWorkers, SetReplicas, UndrainWorkers
from jobpools.core.pools.facts import Problem, WorkerFacts
from jobpools.core.pools.memory import Memory
from jobpools.core.pools.plan import Plan, plan_pool
from jobpools.core.pools.removal import STARTUP_TIME
from jobpools.core.pools.requeue import ACTIVE_INTERVAL
from jobpools.core.text.names import WorkerId
from tests.support.pools import NOW, cluster_facts, heartbeat, make_pool, pool_facts


class Rollout:
    """Three workers of the old spec, `a` to `c`, and one of the new spec; the pool needs one worker."""

    def __init__(self, *, busy: str, new: WorkerFacts | None = None) -> None:
        self.busy = busy
        self.new = new or WorkerFacts(
            "d", ready=False, problem=Problem("ImagePullBackOff", "no such image"), generation="2"
        )
        self.pool = make_pool(scaling={"min": 1, "idle": 0, "behavior": {"scaleDown": {"stabilization": 0}}})
        self.memory = Memory()
        self.locked = self.marked = ""

    def run_pass(self) -> Plan:
        heartbeats = tuple(heartbeat(name, busy=int(name in self.busy), draining=name in self.locked) for name in "abc")
        old = (
            WorkerFacts(name, ready=True, generation="1", marked=name in self.marked, started=NOW - 900)
            for name in "abc"
        )
        cluster = cluster_facts(workers=(*old, self.new), replicas=3, rolling=True)
        facts = replace(pool_facts(in_flight=len(self.busy)), heartbeats=heartbeats, cluster=cluster)
        plan = plan_pool(self.pool, facts, self.memory, NOW, None)
        self.memory = replace(plan.memory, locked=tuple(f"{name}.1" for name in self.locked))
        return plan


@pytest.mark.parametrize(("busy", "size"), [("", 1), ("a", 2)])
def test_a_rollout_to_a_broken_image_keeps_no_idle_worker(busy: str, size: int) -> None:
    """The surplus of the old generation may be removed, and one worker more, because the new one exists in addition."""
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
    starting = WorkerFacts("d", ready=False, generation="2", started=NOW - STARTUP_TIME)
    assert Rollout(busy="", new=starting).run_pass().actions == ()
    stuck = replace(starting, started=NOW - STARTUP_TIME - 1)
    assert Rollout(busy="", new=stuck).run_pass().actions != ()
