"""The chart's rights are sufficient (the operators of these tests have no others), and each of them is used."""

import json
import os
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.kubectl import Kubectl
from tests.kube.kubelet import Kubelet
from tests.kube.processes import Operator, Valkey
from tests.kube.test_chart import render
from tests.kube.test_operator import enqueue, pool, reason, replicas
from tests.kube.test_schedules import schedule
from tests.support.waiting import eventually

pytestmark = pytest.mark.api

Right = tuple[str, str]
"""(`group/resource` or `group/resource/subresource`, verb)."""


def granted() -> set[Right]:
    """Return the rights that the chart grants to the operator."""
    rules = [rule for o in render() if o["metadata"]["name"] == "jobpools-operator" for rule in o.get("rules", ())]
    return {
        (f"{group}/{resource}", verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def used(request_log: Path, namespace: str) -> set[Right]:
    """Return the rights that the operator of this namespace used, from the API server's audit log."""
    user = f"system:serviceaccount:{namespace}:{namespace}-operator"
    found: set[Right] = set()
    for line in request_log.read_text().splitlines():
        event: dict[str, Any] = json.loads(line)
        if event["user"]["username"] == user and (what := event.get("objectRef")):
            name = "/".join(filter(None, (what["resource"], what.get("subresource"))))
            place = f"{what.get('apiGroup', '')}/{name}"
            found.add((place, event["verb"]))
            if event["verb"] == "patch" and event.get("responseStatus", {}).get("code") == HTTPStatus.CREATED:
                found.add((place, "create"))  # an apply that created the object
    return found


def test_every_right_is_used(
    operator: Operator, kubectl: Kubectl, valkey: Valkey, make_operator: Callable[[str], Operator]
) -> None:
    request_log = Path(os.environ["KUBECONFIG"]).parent / "log" / "audit.log"
    if not request_log.exists():
        pytest.skip("only the API server of hack/test-cluster.sh keeps an audit log")
    kubectl.run("create", "secret", "generic", "mine", f"--from-literal=url={valkey.url}")
    with_own_redis = pool("elsewhere", redis={"secretKeyRef": {"name": "mine", "key": "url"}})
    quick = {"idle": "0s", "jobsPerWorker": 1, "behavior": {"scaleDown": {"stabilization": "0s"}}}
    kubectl.apply(pool(scaling=quick), with_own_redis, schedule())
    enqueue(valkey, "emails", 2)
    eventually("two workers", lambda: replicas(kubectl) == 2, within=10)
    kubelet = Kubelet(kubectl, "emails")
    kubelet.wait_for_pods(2)
    valkey.stop()
    valkey.start()  # without its jobs
    eventually("the pods to remove first are marked, and removed", lambda: replicas(kubectl) == 0, within=20)
    eventually(
        "the pool with a Redis of its own is managed",
        lambda: reason(kubectl, name="elsewhere") == "ScaledToZero",
        within=10,
    )
    assert make_operator("b").metric("operator_leading") < 1
    rights = granted()
    eventually(
        "every right is used",
        lambda: rights <= used(request_log, kubectl.namespace),
        within=10,
        detail=lambda: f"not used: {sorted(rights - used(request_log, kubectl.namespace))}",
    )
    assert operator.metric("operator_leading") == 1
