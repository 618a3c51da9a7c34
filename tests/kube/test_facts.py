"""What is read from Deployments and pods, and which workers are reported as gone. Pure."""

from typing import Any

import pytest

from jobpools.core.pools.facts import Problem
from jobpools_operator.kube.facts import fingerprint, is_rolling, replica_failure, worker_facts
from jobpools_operator.kube.gone_workers import KEEP_SECONDS, GoneWorkers


def pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "emails-1", "labels": {"pod-template-hash": "abc"}}, "status": status}


def waiting(reason: str, message: str = "", last: str = "") -> dict[str, Any]:
    container: dict[str, Any] = {"state": {"waiting": {"reason": reason, "message": message}}}
    return container | ({"lastState": {"terminated": {"reason": last}}} if last else {})


def test_a_ready_pod_is_a_ready_worker() -> None:
    worker = worker_facts(
        pod(
            startTime="2026-01-01T00:00:00Z", conditions=[{"type": "Ready", "status": "True"}, {"type": "PodScheduled"}]
        )
    )
    assert (worker.name, worker.ready, worker.terminating, worker.marked) == ("emails-1", True, False, False)
    assert (worker.started, worker.generation, worker.problem) == (1767225600.0, "abc", None)


def test_deletion_and_deletion_cost_are_read() -> None:
    item = pod()
    item["metadata"] |= {
        "deletionTimestamp": "2026-01-01T00:00:00Z",
        "annotations": {"controller.kubernetes.io/pod-deletion-cost": "-1000"},
    }
    worker = worker_facts(item)
    assert (worker.terminating, worker.marked) == (True, True)


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        ({"containerStatuses": [waiting("ContainerCreating")]}, None),
        ({"containerStatuses": [waiting("ErrImagePull", "no such image\nat registry")]},
         Problem("ErrImagePull", "no such image")),
        ({"containerStatuses": [waiting("CrashLoopBackOff", last="OOMKilled")]},
         Problem("CrashLoopBackOff", "OOMKilled")),
        ({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3"}]},
         Problem("Unschedulable", "0/3")),
    ],
)  # fmt: skip
def test_a_pod_that_cannot_start_has_a_problem(status: dict[str, Any], problem: Problem | None) -> None:
    assert worker_facts(pod(**status)).problem == problem


def deployment(wanted: int, **status: int) -> dict[str, Any]:
    return {"metadata": {"generation": 2}, "spec": {"replicas": wanted}, "status": status}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (deployment(0), False),  # no pods, present or wanted
        (deployment(2, observedGeneration=1, replicas=2, updatedReplicas=2), True),  # not read by the controller yet
        (deployment(2, observedGeneration=2, replicas=2, updatedReplicas=2), False),
        (deployment(2, observedGeneration=2, replicas=3, updatedReplicas=1), True),
    ],
)
def test_a_rollout_lasts_until_no_pod_of_an_older_template_is_left(found: dict[str, Any], *, expected: bool) -> None:
    assert is_rolling(found) is expected


def test_a_quota_is_a_problem_of_the_deployment() -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}
    assert replica_failure({"status": {"conditions": [condition]}}) == Problem("FailedCreate", "exceeded quota")
    assert replica_failure({"status": {"conditions": [condition | {"status": "False"}]}}) is None


def test_the_fingerprint_ignores_the_number_of_workers() -> None:
    assert fingerprint({"spec": {"replicas": 1, "paused": False}}) == fingerprint({"spec": {"paused": False}})
    assert fingerprint({"spec": {"paused": True}}) != fingerprint({"spec": {"paused": False}})


def test_a_gone_worker_is_reported_once_and_only_for_a_minute() -> None:
    gone = GoneWorkers()
    gone.add("shop/emails", "b", 100.0)
    gone.add("shop/emails", "a", 100.0)
    gone.add("shop/other", "c", 100.0)
    assert gone.take("shop/emails", 101.0) == ("a", "b")
    assert gone.take("shop/emails", 101.0) == ()
    assert gone.take("shop/other", 100.0 + KEEP_SECONDS) == ()
    gone.add("shop/other", "d", 200.0)
    gone.forget("shop/other")
    assert gone.take("shop/other", 200.0) == ()
