"""Pools: the operator as a process, with a real API server and a real Valkey. Pods run only in tests/cluster."""

import asyncio
import signal
import time
from collections.abc import Callable

import pytest

from jobpools import Client
from jobpools.options import Options
from tests.cluster.kubectl import Kubectl, Object, condition
from tests.kube.kubelet import Kubelet
from tests.kube.processes import Operator, Valkey
from tests.support.waiting import eventually

pytestmark = pytest.mark.api


def pool(name: str = "emails", **spec: object) -> Object:
    # No node may run these pods, even if the cluster has nodes: the fake kubelet reports their status.
    nowhere = {"spec": {"nodeSelector": {"jobpools.dev/node": "none"}}}
    base: Object = {"image": "shop:1", "app": "shop.jobs:app", "queues": [name], "template": nowhere}
    base["scaling"] = {"jobsPerWorker": 10}
    return {"apiVersion": "jobpools.dev/v1", "kind": "WorkerPool", "metadata": {"name": name}, "spec": base | spec}


def enqueue(valkey: Valkey, queue: str, count: int) -> None:
    async def send() -> None:
        client = Client(valkey.url)
        try:
            await client.enqueue_many([client.call_json("work", {}, Options.make(queue=queue)) for _ in range(count)])
        finally:
            await client.aclose()

    asyncio.run(send())


def replicas(kubectl: Kubectl, name: str = "emails") -> int | None:
    found = kubectl.get("deployment", name)
    return None if found is None else int(found["spec"]["replicas"])


def status(kubectl: Kubectl, name: str = "emails") -> Object:
    found = kubectl.get("workerpool", name)
    return {} if found is None else found.get("status", {})


def reason(kubectl: Kubectl, kind: str = "Ready", name: str = "emails") -> str:
    return str(condition({"status": status(kubectl, name)}, kind).get("reason", ""))


def test_a_new_pool_has_a_deployment_without_pods(operator: Operator, kubectl: Kubectl) -> None:
    kubectl.apply(pool())
    eventually("the status says that the pool has no workers", lambda: reason(kubectl) == "ScaledToZero", within=10)
    assert replicas(kubectl) == 0
    found = kubectl.get("deployment", "emails")
    assert found is not None
    (owner,) = found["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("WorkerPool", "emails", True)
    assert status(kubectl)["observedGeneration"] == 1
    assert operator.metric("operator_pools") == 1


def test_new_jobs_start_workers_before_the_next_pass_is_due(
    operator: Operator, kubectl: Kubectl, valkey: Valkey
) -> None:
    kubectl.apply(pool(), pool("other"))
    eventually("both Deployments exist", lambda: replicas(kubectl) == 0 and replicas(kubectl, "other") == 0, within=10)
    began = time.monotonic()
    enqueue(valkey, "emails", 35)
    eventually("four workers are asked for", lambda: replicas(kubectl) == 4, within=5)
    assert time.monotonic() - began < 2, "the operator must be woken, not wait for the next pass"
    assert replicas(kubectl, "other") == 0
    eventually("the status has the number", lambda: status(kubectl).get("replicas") == 4, within=10)
    assert status(kubectl)["queued"] == 35

    def scaled_up() -> list[str]:
        events = [each for each in kubectl.list("events") if each["involvedObject"]["kind"] == "WorkerPool"]
        return [each["message"] for each in events if each["reason"] == "ScaledUp"]

    (message,) = eventually("one event reports it", scaled_up, within=5)
    assert "from 0 to 4" in message
    assert operator.metric("operator_scalings_total") == 1


def test_a_pass_without_a_change_writes_no_status(operator: Operator, kubectl: Kubectl) -> None:
    kubectl.apply(pool())
    eventually("the pool is settled", lambda: reason(kubectl, "Progressing") == "Settled", within=10)
    before = kubectl.get("workerpool", "emails")
    assert before is not None
    passes = operator.metric("operator_passes_total")
    kubectl.run("label", "deployment", "emails", "touched=yes")  # a reason for a pass, and none for a write
    eventually("another pass has run", lambda: operator.metric("operator_passes_total") > passes, within=10)
    after = kubectl.get("workerpool", "emails")
    assert after is not None
    assert after["status"] == before["status"]
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_a_changed_spec_reaches_the_pods_and_keeps_their_number(
    operator: Operator, kubectl: Kubectl, valkey: Valkey
) -> None:
    kubectl.apply(pool())
    enqueue(valkey, "emails", 15)
    eventually("two workers", lambda: replicas(kubectl) == 2, within=10)
    kubectl.patch("workerpool", "emails", {"spec": {"image": "shop:2"}})

    def image() -> str:
        found = kubectl.get("deployment", "emails")
        assert found is not None
        return str(found["spec"]["template"]["spec"]["containers"][0]["image"])

    eventually("the Deployment has the new image", lambda: image() == "shop:2", within=10)
    assert replicas(kubectl) == 2
    assert operator.metric("operator_leading") == 1


def test_a_manual_pool_follows_kubectl_scale(operator: Operator, kubectl: Kubectl) -> None:
    kubectl.apply(pool(scaling={"mode": "Manual"}, replicas=1))
    eventually("one worker", lambda: replicas(kubectl) == 1, within=10)
    kubectl.run("scale", "workerpool/emails", "--replicas=3")
    eventually("three workers", lambda: replicas(kubectl) == 3, within=10)
    assert operator.metric("operator_pools_invalid") == 0


def test_a_deleted_pool_is_forgotten(operator: Operator, kubectl: Kubectl) -> None:
    kubectl.apply(pool())
    eventually("the Deployment exists", lambda: replicas(kubectl) == 0, within=10)
    kubectl.run("delete", "workerpool", "emails")
    eventually("the Deployment is deleted by its owner reference", lambda: replicas(kubectl) is None, within=30)
    eventually("the operator forgets the pool", lambda: operator.metric("operator_pools") == 0, within=10)


def test_an_invalid_spec_that_the_api_server_accepts_is_reported(operator: Operator, kubectl: Kubectl) -> None:
    kubectl.apply(pool(queues=[{"nme": "emails"}]))
    eventually("the status says that the spec is invalid", lambda: reason(kubectl) == "InvalidSpec", within=10)
    assert "spec.queues.0" in condition({"status": status(kubectl)}, "Ready")["message"]
    assert replicas(kubectl) is None
    kubectl.patch("workerpool", "emails", {"spec": {"queues": ["emails"]}})
    eventually("the corrected spec is accepted", lambda: reason(kubectl) == "ScaledToZero", within=10)
    bad = {"schedules": [{"cron": "99 * * * *", "duration": "1h", "min": 1}]}
    kubectl.patch("workerpool", "emails", {"spec": {"scaling": bad}})
    eventually("the status says that a schedule is invalid", lambda: reason(kubectl) == "InvalidSchedule", within=10)
    assert operator.metric("operator_pools_invalid") == 0


def test_a_deployment_of_another_owner_is_not_changed(operator: Operator, kubectl: Kubectl) -> None:
    kubectl.run("create", "deployment", "emails", "--image=theirs", "--replicas=0")
    kubectl.apply(pool())
    eventually("the status says so", lambda: "belong to this pool" in str(status(kubectl).get("conditions")), within=10)
    found = kubectl.get("deployment", "emails")
    assert found is not None
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "theirs"
    assert operator.metric("operator_leading") == 1


def test_the_problem_of_a_pod_is_reported(operator: Operator, kubectl: Kubectl) -> None:
    kubectl.apply(pool(scaling={"min": 1}))
    kubelet = Kubelet(kubectl, "emails")
    kubelet.wait_for_pods(1)
    kubelet.report_waiting("ImagePullBackOff", 'Back-off pulling image "shop:1"')
    eventually("the status has the reason of the pod", lambda: reason(kubectl) == "ImagePullBackOff", within=10)
    kubelet.report_ready()
    assert operator.metric("operator_leading") == 1


def test_an_exceeded_quota_is_reported(operator: Operator, kubectl: Kubectl) -> None:
    kubectl.run("create", "quota", "none", "--hard=pods=0")
    eventually(
        "the quota is known", lambda: (kubectl.get("quota", "none") or {}).get("status", {}).get("hard"), within=10
    )
    kubectl.apply(pool(scaling={"min": 1}))
    eventually(
        "the status has the message of the quota",
        lambda: "exceeded quota" in str(status(kubectl).get("conditions")),
        within=20,
    )
    assert operator.metric("operator_leading") == 1


def test_sizes_are_held_while_redis_is_unreachable(operator: Operator, kubectl: Kubectl, valkey: Valkey) -> None:
    kubectl.apply(pool(scaling={"jobsPerWorker": 10, "idle": "1s", "behavior": {"scaleDown": {"stabilization": "0s"}}}))
    enqueue(valkey, "emails", 25)
    eventually("three workers", lambda: replicas(kubectl) == 3, within=10)
    valkey.stop()

    def scaling() -> Object:
        return condition({"status": status(kubectl)}, "ScalingActive")

    eventually(
        "the status says that the number is held", lambda: scaling().get("status") in ("False", "Unknown"), within=20
    )
    assert "cannot be reached" in scaling()["message"]
    assert replicas(kubectl) == 3
    valkey.start()  # without its jobs: nothing is queued any more
    eventually("the operator has recovered, and no worker is needed", lambda: replicas(kubectl) == 0, within=30)
    assert operator.metric("operator_leading") == 1


def test_sigterm_releases_the_lease_and_a_standby_takes_over(
    operator: Operator, make_operator: Callable[[str], Operator], kubectl: Kubectl, valkey: Valkey
) -> None:
    kubectl.apply(pool())
    eventually("the status says that the pool has no workers", lambda: reason(kubectl) == "ScaledToZero", within=10)
    standby = make_operator("b")
    eventually("the standby is ready", lambda: standby.get("/readyz"), within=20)
    assert not standby.leads()
    operator.signal(signal.SIGTERM)
    began = time.monotonic()
    assert operator.wait() == 0
    eventually("the standby leads", standby.leads, within=5)
    assert time.monotonic() - began < 5
    enqueue(valkey, "emails", 1)
    eventually("the standby scales the pool", lambda: replicas(kubectl) == 1, within=5)


def test_a_killed_leader_is_replaced(
    operator: Operator, make_operator: Callable[[str], Operator], kubectl: Kubectl, valkey: Valkey
) -> None:
    kubectl.apply(pool())
    standby = make_operator("b")
    eventually("the standby is ready", lambda: standby.get("/readyz"), within=20)
    operator.signal(signal.SIGKILL)
    enqueue(valkey, "emails", 1)
    eventually("the standby scales the pool", lambda: replicas(kubectl) == 1, within=20)
