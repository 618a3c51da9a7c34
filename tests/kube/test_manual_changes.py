"""Changes that other clients make to a pool's objects, and how the operator corrects them."""

import base64

import pytest

from jobpools_operator.kube.client import APPS_API, Api, path_of
from jobpools_operator.kube.manifests import REDIS_SECRET
from tests.cluster.kubectl import Kubectl, Object
from tests.kube.kubelet import Kubelet
from tests.kube.processes import Operator, Valkey
from tests.kube.test_operator import enqueue, pool, reason, replicas, status
from tests.support.waiting import eventually

pytestmark = pytest.mark.api


def worker_container(kubectl: Kubectl) -> Object:
    found = kubectl.get("deployment", "emails")
    assert found is not None
    worker: Object = found["spec"]["template"]["spec"]["containers"][0]
    return worker


def wait_until_settled(kubectl: Kubectl) -> None:
    eventually("the pool is settled", lambda: reason(kubectl, "Progressing") == "Settled", within=10)


def test_an_edited_deployment_is_corrected(operator: Operator, kubectl: Kubectl) -> None:
    kubectl.apply(pool(scaling={"idle": "0s", "behavior": {"scaleDown": {"stabilization": "0s"}}}))
    wait_until_settled(kubectl)
    kubectl.run("set", "image", "deployment/emails", "worker=theirs:1")
    eventually("the image of the spec is back", lambda: worker_container(kubectl)["image"] == "shop:1", within=10)
    kubectl.run("scale", "deployment/emails", "--replicas=7")
    eventually("the number of workers is back", lambda: replicas(kubectl) == 0, within=20)
    kubectl.run("set", "env", "deployment/emails", "THEIRS=1")  # a field that the operator does not own is kept
    wait_until_settled(kubectl)
    assert "THEIRS" in {each["name"] for each in worker_container(kubectl)["env"]}
    assert operator.metric("operator_leading") == 1


def test_a_deleted_deployment_is_created_again(operator: Operator, kubectl: Kubectl) -> None:
    kubectl.apply(pool())
    wait_until_settled(kubectl)
    before = kubectl.get("deployment", "emails")
    kubectl.run("delete", "deployment", "emails")
    eventually(
        "the Deployment is created again",
        lambda: (now := kubectl.get("deployment", "emails")) and now != before,
        within=10,
    )
    assert replicas(kubectl) == 0
    assert operator.metric("operator_leading") == 1


def test_a_pool_under_foreground_deletion_is_not_managed(operator: Operator, kubectl: Kubectl) -> None:
    kubectl.apply(pool())
    wait_until_settled(kubectl)
    kubectl.run("delete", "workerpool", "emails", "--cascade=foreground", "--timeout=20s")
    assert kubectl.get("deployment", "emails") is None, "the Deployment must not be created again"
    eventually("the operator forgets the pool", lambda: operator.metric("operator_pools") == 0)


def test_the_url_is_in_a_secret_that_is_deleted_with_the_last_pool(
    operator: Operator, kubectl: Kubectl, valkey: Valkey
) -> None:
    kubectl.apply(pool(), pool("reports"))
    wait_until_settled(kubectl)
    source = {"secretKeyRef": {"name": REDIS_SECRET, "key": "url"}}
    (variable,) = [each for each in worker_container(kubectl)["env"] if each["name"] == "JOBPOOLS_REDIS_URL"]
    assert variable == {"name": "JOBPOOLS_REDIS_URL", "valueFrom": source}

    def secret() -> Object | None:
        return kubectl.get("secret", REDIS_SECRET)

    def owners() -> set[str]:
        return {each["name"] for each in (secret() or {"metadata": {}})["metadata"].get("ownerReferences", [])}

    eventually("both pools own the Secret", lambda: owners() == {"emails", "reports"}, within=10)
    assert base64.b64decode((secret() or {})["data"]["url"]).decode() == valkey.url
    kubectl.run("delete", "workerpool", "emails")
    eventually("the other pool owns the Secret", lambda: owners() == {"reports"}, within=20)
    kubectl.run("delete", "workerpool", "reports")
    eventually("the Secret is deleted with the last pool", lambda: secret() is None, within=20)
    assert operator.metric("operator_leading") == 1


def test_a_deleted_secret_is_written_again(operator: Operator, kubectl: Kubectl) -> None:
    kubectl.apply(pool(scaling={"min": 1}))
    kubelet = Kubelet(kubectl, "emails")
    kubelet.wait_for_pods(1)
    kubectl.run("delete", "secret", REDIS_SECRET)
    kubelet.report_waiting("CreateContainerConfigError", f'secret "{REDIS_SECRET}" not found')
    eventually("the Secret is back", lambda: kubectl.get("secret", REDIS_SECRET), within=10)
    kubelet.report_ready()
    wait_until_settled(kubectl)
    assert operator.metric("operator_leading") == 1


def test_a_secret_of_another_owner_is_not_changed(operator: Operator, kubectl: Kubectl) -> None:
    kubectl.run("create", "secret", "generic", REDIS_SECRET, "--from-literal=url=theirs")
    kubectl.apply(pool())
    eventually(
        "the status says so", lambda: "not created by jobpools" in str(status(kubectl).get("conditions")), within=10
    )
    assert base64.b64decode((kubectl.get("secret", REDIS_SECRET) or {})["data"]["url"]) == b"theirs"
    assert operator.metric("operator_leading") == 1


def test_a_pool_that_moves_to_another_redis_leaves_the_old_one(
    operator: Operator, kubectl: Kubectl, valkey: Valkey
) -> None:
    kubectl.apply(pool())
    wait_until_settled(kubectl)
    url = valkey.url.replace("/0", "/1")
    kubectl.run("create", "secret", "generic", "mine", f"--from-literal=dsn={url}")
    ref = {"secretKeyRef": {"name": "mine", "key": "dsn"}}
    kubectl.patch("workerpool", "emails", {"spec": {"redis": ref}})
    variable = {"name": "JOBPOOLS_REDIS_URL", "valueFrom": ref}
    eventually("the pods read the URL from the other Secret", lambda: variable in worker_container(kubectl)["env"])
    enqueue(Valkey.at(url), "emails", 1)
    eventually("the operator reads the other Redis", lambda: replicas(kubectl) == 1, within=10)
    assert operator.metric("operator_endpoints") == 1


async def test_a_watch_accepts_lines_of_any_length(api: Api, kubectl: Kubectl) -> None:
    path = path_of(APPS_API, kubectl.namespace, "deployments")
    _, version = await api.list(path)
    kubectl.run("create", "deployment", "big", "--image=x", "--replicas=0")
    fat = {"metadata": {"annotations": {"fat": "x" * 250_000}}}
    await api.merge(f"{path}/big", fat, "test")
    async for kind, item in api.watch(path, version):
        if "fat" in item["metadata"].get("annotations", {}):
            assert (kind, item["metadata"]["name"]) == ("MODIFIED", "big")
            break
