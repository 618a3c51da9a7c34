"""Each step of a scale-down: its actions and its progress."""

from dataclasses import replace
from typing import Any

import pytest

from jobpools.core.pools.actions import Action, DrainWorkers, MarkWorkers, SetReplicas, UndrainWorkers
from jobpools.core.pools.facts import WorkerFacts
from jobpools.core.pools.memory import Memory
from jobpools.core.pools.reasons import Reason
from jobpools.core.pools.removal import ScaleDownInput
from jobpools.core.pools.scale_down import Progress, scale_down
from jobpools.core.pools.workers import join_workers
from tests.support.pools import NOW, cluster_facts, heartbeat, ready_workers


def pool(
    *, surplus: int, names: str = "abc", busy: str = "", drained: str = "", marked: str = "", **fields: Any
) -> ScaleDownInput:
    """Return a pool with a ready worker for each letter, idle for longer the earlier its letter is.

    `fields`: those of ScaleDownInput, and `replicas`, the number asked for (default: the number of workers).
    """
    workers = tuple(replace(worker, marked=worker.name in marked) for worker in ready_workers(names))
    cluster = cluster_facts(names, workers=workers, replicas=fields.pop("replicas", len(names)))
    heartbeats = [
        heartbeat(name, busy=int(name in busy), draining=name in drained, idle_since=NOW - 100 + 10 * place)
        for place, name in enumerate(names)
    ]
    known: dict[str, Any] = {
        "memory": Memory(locked=tuple(f"{name}.1" for name in drained)),
        "leases": len(busy),
        "now": NOW,
    }
    return ScaleDownInput(cluster=cluster, workers=join_workers(cluster, heartbeats), surplus=surplus, **known | fields)


STEPPING, WAITING, NONE = Progress.STEPPING, Progress.WAITING, Progress.NONE


@pytest.mark.parametrize(
    ("name", "given", "actions", "progress"),
    [
        ("no surplus", pool(surplus=0), (), NONE),
        ("lock the longest idle", pool(surplus=1), (DrainWorkers(("a.1",)),), STEPPING),
        ("no busy worker is locked", pool(surplus=2, busy="ab"), (DrainWorkers(("c.1",)),), STEPPING),
        ("all are busy", pool(surplus=2, busy="abc"), (), NONE),
        ("mark the locked worker", pool(surplus=1, drained="a"), (MarkWorkers(("a",)),), STEPPING),
        ("scale when the worker is marked", pool(surplus=1, drained="a", marked="a"), (SetReplicas(2),), STEPPING),
        ("the cluster is about to remove it", pool(surplus=0, drained="a", marked="a", replicas=2), (), STEPPING),
        ("the need rises", pool(surplus=0, drained="a", marked="a"),
         (UndrainWorkers(("a.1",)), MarkWorkers(())), NONE),
        ("fewer are surplus than before", pool(surplus=1, drained="ab", marked="ab"),
         (UndrainWorkers(("b.1",)), MarkWorkers(("a",))), STEPPING),
        ("a worker has not appeared", pool(surplus=2, replicas=4), (SetReplicas(3),), STEPPING),
        ("a worker is not listed yet", pool(surplus=1, replicas=4, unlisted=1), (DrainWorkers(("a.1",)),), STEPPING),
        ("another process locked it", pool(surplus=1, drained="a", memory=Memory()),
         (DrainWorkers(("a.1",)),), STEPPING),
    ],
)  # fmt: skip
def test_the_next_step(name: str, given: ScaleDownInput, actions: tuple[Action, ...], progress: Progress) -> None:
    step = scale_down(given)
    assert (step.actions, step.progress) == (actions, progress), name
    assert step.message


def test_the_scale_down_waits_for_a_busy_worker_that_is_not_ready() -> None:
    """The cluster would remove it before the marked ones."""
    given = pool(surplus=1, busy="c", drained="a", marked="a")
    workers = tuple(replace(worker, facts=replace(worker.facts, ready=worker.name != "c")) for worker in given.workers)
    step = scale_down(replace(given, workers=workers))
    assert (step.actions, step.progress) == ((), WAITING)
    assert step.message.startswith("waiting for c")


def test_a_worker_that_never_started_goes_first() -> None:
    broken = WorkerFacts("z", ready=False, started=NOW - 900)
    given = pool(surplus=1)
    workers = (*given.workers, *join_workers(cluster_facts(workers=(broken,)), ()))
    step = scale_down(replace(given, workers=workers, cluster=replace(given.cluster, replicas=4)))
    assert step.actions == (MarkWorkers(("z",)),)


@pytest.mark.parametrize(("chosen", "misdeletions"), [((), 0), (("x",), 0), (("a", "x"), 1), (("a", "b"), 2)])
def test_survivors_of_a_scale_down_are_counted(chosen: tuple[str, ...], misdeletions: int) -> None:
    given = pool(surplus=0, names="ab", memory=Memory(chosen=chosen, scaled_down_to=2))
    step = scale_down(given)
    assert step.misdeletions == misdeletions
    assert [event.reason for event in step.events] == ([Reason.MISDELETED] if misdeletions else [])
    assert step.memory.chosen == ()
