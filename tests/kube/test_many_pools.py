"""Requests for many pools in one namespace, with real controllers: they grow linearly."""

import json
import os
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jobpools_operator.kube.manifests import REDIS_SECRET
from jobpools_operator.kube.url_secret import MAX_OWNERS
from tests.cluster.kubectl import Kubectl, Object, condition
from tests.kube.processes import Operator, Valkey
from tests.kube.test_operator import enqueue, pool
from tests.support.waiting import eventually

pytestmark = pytest.mark.api

FEW, MANY = 20, 200
"""Numbers of pools whose requests are compared."""
MEASURED, MEASURED_BEFORE = 18, 5
"""Number of pools whose reaction is measured, and how many of them are measured before the others are created."""
TIME_DRIVEN = {"leases", "configmaps"}
"""Resources whose requests depend on time and not on pools."""


def pools(prefix: str, count: int) -> list[Object]:
    return [pool(f"{prefix}-{number:03d}") for number in range(count)]


def count_settled(kubectl: Kubectl) -> int:
    found = kubectl.list("workerpools")
    return sum(condition(each, "Progressing").get("reason") == "Settled" for each in found)


def requests(namespace: str) -> Counter[str]:
    """Return the number of the operator's requests so far by verb and resource, without lists and watches."""
    user = f"system:serviceaccount:{namespace}:{namespace}-operator"
    found: Counter[str] = Counter()
    for event in events(user):
        what = event.get("objectRef", {})
        if "resource" in what and event["verb"] not in ("list", "watch") and what["resource"] not in TIME_DRIVEN:
            found[f"{event['verb']} {what['resource']}/{what.get('subresource', '')}".rstrip("/")] += 1
    return found


def events(user: str) -> Iterator[dict[str, Any]]:
    request_log = Path(os.environ["KUBECONFIG"]).parent / "log" / "audit.log"
    if not request_log.exists():
        pytest.skip("only the API server of hack/test-cluster.sh keeps an audit log")
    for line in request_log.read_text().splitlines():
        event: dict[str, Any] = json.loads(line)
        if event["user"]["username"] == user:
            yield event


def size_of(kubectl: Kubectl, kind: str, name: str) -> int:
    """Return the size of an object in bytes, with its `managedFields`, without the status that Kubernetes writes."""
    found = json.loads(kubectl.run("get", kind, name, "--output=json", "--show-managed-fields"))
    found.pop("status", None)
    fields = found["metadata"]["managedFields"]
    found["metadata"]["managedFields"] = [each for each in fields if each.get("subresource") != "status"]
    return len(json.dumps(found, indent=4))


def create_pools(kubectl: Kubectl, prefix: str, count: int, total: int) -> Counter[str]:
    """Create pools, wait until all `total` pools are settled, and return the operator's requests."""
    before = requests(kubectl.namespace)
    kubectl.apply(*pools(prefix, count))
    eventually(
        f"all {total} are settled",
        lambda: count_settled(kubectl) == total,
        within=240,
        detail=lambda: count_settled(kubectl),
    )
    return requests(kubectl.namespace) - before


def test_requests_per_pool_do_not_depend_on_the_number_of_pools(operator: Operator, kubectl: Kubectl) -> None:
    few = create_pools(kubectl, "few", FEW, FEW)
    sizes = size_of(kubectl, "secret", REDIS_SECRET), size_of(kubectl, "deployment", "few-000")
    many = create_pools(kubectl, "many", MANY, FEW + MANY)
    assert many.total() / MANY <= few.total() / FEW * 1.1, (few, many)
    assert many["get secrets"] + many["patch secrets"] <= 4, many
    assert abs(size_of(kubectl, "secret", REDIS_SECRET) - sizes[0]) < 100
    assert abs(size_of(kubectl, "deployment", "few-000") - sizes[1]) < 100
    assert operator.metric("operator_pools") == FEW + MANY


def test_a_pool_reacts_while_many_others_are_created(operator: Operator, kubectl: Kubectl, valkey: Valkey) -> None:
    kubectl.apply(*pools("measured", MEASURED))
    eventually("the pools are settled", lambda: count_settled(kubectl) == MEASURED, within=60)
    names = [f"measured-{number:03d}" for number in range(MEASURED)]
    before = [seconds_to_scale(kubectl, valkey, name) for name in names[:MEASURED_BEFORE]]
    applying = threading.Thread(target=kubectl.apply, args=pools("many", MANY))
    applying.start()
    times = []
    for name in names[MEASURED_BEFORE:]:
        times.append(seconds_to_scale(kubectl, valkey, name))
        if count_settled(kubectl) >= MANY:
            break
    applying.join()
    assert len(times) > 2, "otherwise too little was measured while the others were created"
    # A busy machine is slow before and after. A pool that waits for all others takes tens of seconds.
    assert statistics.median(times) < max(1.0, 6 * statistics.median(before)), (before, times)
    assert operator.metric("operator_leading") == 1


def seconds_to_scale(kubectl: Kubectl, valkey: Valkey, name: str) -> float:
    """Return the seconds from a new job to the Deployment's new size, the time of kubectl included."""
    began = time.monotonic()
    enqueue(valkey, name, 1)
    eventually("the Deployment is scaled", partial(is_scaled, kubectl, name))
    return time.monotonic() - began


def is_scaled(kubectl: Kubectl, name: str) -> bool:
    return kubectl.run("get", "deployment", name, "--output=jsonpath={.spec.replicas}") == "1"


def test_the_secret_has_few_owners_and_exists_as_long_as_a_pool(
    operator: Operator, make_operator: Callable[[str], Operator], kubectl: Kubectl
) -> None:
    kubectl.apply(*pools("many", 10))
    eventually("all pools are settled", lambda: count_settled(kubectl) == 10, within=60)
    names = {each["metadata"]["name"] for each in kubectl.list("workerpools")}
    while len(names) > MAX_OWNERS:
        gone = owners(kubectl)
        assert len(gone) == MAX_OWNERS
        kubectl.run("delete", "workerpool", *gone)
        names -= gone
        eventually("other pools own the Secret", partial(is_owned_by, kubectl, names), within=20)
    make_operator("b")  # a standby, which need not know anything of this namespace
    operator.stop()
    kubectl.run("delete", "workerpool", *names)
    eventually(
        "the Secret is deleted with its last owner", lambda: kubectl.get("secret", REDIS_SECRET) is None, within=30
    )


def is_owned_by(kubectl: Kubectl, names: set[str]) -> bool:
    found = owners(kubectl)
    return len(found) == min(MAX_OWNERS, len(names)) and found <= names


def owners(kubectl: Kubectl) -> set[str]:
    found = kubectl.get("secret", REDIS_SECRET) or {"metadata": {}}
    return {each["name"] for each in found["metadata"].get("ownerReferences", [])}
