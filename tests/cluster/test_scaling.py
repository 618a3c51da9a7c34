"""Scaling from zero workers to the maximum and back, with the status that users see meanwhile."""

import time
from collections.abc import Callable

import pytest

from tests.cluster.conftest import FAST_SCALE_DOWN, MakePool
from tests.cluster.kubectl import Kubectl, condition
from tests.cluster.queues import Queue
from tests.cluster.recording import recorded
from tests.support.waiting import eventually

pytestmark = pytest.mark.cluster

JOBS = 1000


def test_a_pool_scales_from_zero_to_its_maximum_and_back(
    make_pool: MakePool, queue: Queue, kubectl: Kubectl, show: Callable[[str], None]
) -> None:
    pool = make_pool(concurrency=10, scaling={"max": 4, "jobsPerWorker": 50, **FAST_SCALE_DOWN})
    eventually("the pool is ready", lambda: condition(pool.object(), "Ready").get("status") == "True", within=20)
    assert pool.pods() == []
    show(kubectl.run("get", "jobpools"))

    with recorded(pool, queue) as recording:
        began = time.monotonic()
        ids = queue.enqueue([0.5] * JOBS)
        eventually("the first pod exists", pool.pods, within=10)
        first_pod = time.monotonic() - began

        was_shown = False
        while len(queue.completed()) < JOBS:
            assert time.monotonic() - began < 120, f"{len(queue.completed())} of {JOBS} done, status {pool.status()}"
            if not was_shown and recording.current("busy"):
                was_shown = True
                show(kubectl.run("get", "jobpools"))
                show(kubectl.run("get", "jobpools", "--output=wide"))
            time.sleep(0.05)
        drained = time.monotonic() - began
        errors = recording.errors()

    assert queue.completed() == set(ids)
    assert queue.executions() == dict.fromkeys(ids, 1)
    assert {trace.id for trace in queue.traces("end")} == set(ids)
    assert len({trace.host for trace in queue.traces()}) == 4
    assert errors == []

    pool.wait_gone()
    back = time.monotonic() - began
    nothing = {"readyReplicas": 0, "busy": 0, "queued": 0}
    eventually("the status shows no worker and no job", lambda: nothing.items() <= pool.status().items(), within=20)
    show(kubectl.run("get", "jobpools"))
    show(f"first pod after {first_pod:.1f} s, {JOBS} jobs done after {drained:.1f} s, no pod left after {back:.1f} s")


def test_scale_down_stops_no_busy_worker(make_pool: MakePool, queue: Queue) -> None:
    """One worker runs a long job while the others are idle: it is not removed."""
    pool = make_pool(concurrency=1, scaling={"max": 4, "jobsPerWorker": 1, **FAST_SCALE_DOWN})
    ids = queue.enqueue([25.0, 6.0, 6.0, 6.0])
    eventually("four jobs run", lambda: len(queue.leased()) == 4, within=60)
    eventually("the short jobs are done", lambda: len(queue.completed()) == 3, within=60)
    eventually("one worker is left", lambda: len(pool.ready()) == 1, within=30)
    assert len(queue.leased()) == 1, "it scaled down while the long job ran, not after"
    eventually("the long job is done", lambda: queue.completed() == set(ids), within=60)
    assert queue.executions() == dict.fromkeys(ids, 1)


def test_running_workers_follow_a_changed_concurrency_without_a_rollout(
    make_pool: MakePool, queue: Queue, kubectl: Kubectl
) -> None:
    pool = make_pool(concurrency=1, scaling={"min": 1, "max": 1})
    pool.wait_ready(1)
    pods = [pod["metadata"]["uid"] for pod in pool.pods()]
    ids = queue.enqueue([8.0] * 4)
    eventually("one job runs", lambda: len(queue.leased()) == 1, within=20)
    kubectl.patch("workerpool", pool.name, {"spec": {"concurrency": 4}})
    eventually("all jobs run", lambda: len(queue.leased()) + len(queue.completed()) == 4, within=7)
    eventually("all jobs are done", lambda: queue.completed() == set(ids), within=30)
    assert [pod["metadata"]["uid"] for pod in pool.pods()] == pods
    assert queue.executions() == dict.fromkeys(ids, 1)


def test_manual_mode_follows_kubectl_scale(make_pool: MakePool, kubectl: Kubectl) -> None:
    pool = make_pool(scaling={"mode": "Manual"}, replicas=1)
    pool.wait_ready(1)
    kubectl.run("scale", "workerpool", pool.name, "--replicas=2")
    pool.wait_ready(2)
    kubectl.run("scale", "workerpool", pool.name, "--replicas=0")
    pool.wait_gone()
