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

FEW, MANY, QUICK, ALONE = 20, 200, 18, 5
BY_THE_CLOCK = {"leases", "configmaps"}
"""Resources whose requests depend on time and not on pools."""


def pools(prefix: str, count: int) -> list[Object]:
    return [pool(f"{prefix}-{number:03d}") for number in range(count)]


def ready(kubectl: Kubectl) -> int:
    found = kubectl.list("workerpools")
    return sum(condition(each, "Progressing").get("reason") == "Settled" for each in found)


def requests(namespace: str) -> Counter[str]:
    """Return the number of the operator's requests so far by verb and resource, without lists and watches."""
    user = f"system:serviceaccount:{namespace}:{namespace}-operator"
    found: Counter[str] = Counter()
    for event in events(user):
        what = event.get("objectRef", {})
        if "resource" in what and event["verb"] not in ("list", "watch") and what["resource"] not in BY_THE_CLOCK:
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


def size(kubectl: Kubectl, kind: str, name: str) -> int:
    """Return the object's size in bytes, with its `managedFields`."""
    return len(kubectl.run("get", kind, name, "--output=json", "--show-managed-fields"))


def take_up(kubectl: Kubectl, prefix: str, count: int, total: int) -> Counter[str]:
    """Create pools and return the requests that the operator made for them."""
    before = requests(kubectl.namespace)
    kubectl.apply(*pools(prefix, count))
    eventually(f"all {total} are settled", lambda: ready(kubectl) == total, within=240, detail=lambda: ready(kubectl))
    return requests(kubectl.namespace) - before


def test_requests_per_pool_do_not_depend_on_the_number_of_pools(operator: Operator, kubectl: Kubectl) -> None:
    few = take_up(kubectl, "few", FEW, FEW)
    sizes = size(kubectl, "secret", REDIS_SECRET), size(kubectl, "deployment", "few-000")
    many = take_up(kubectl, "many", MANY, FEW + MANY)
    assert many.total() / MANY <= few.total() / FEW * 1.1, (few, many)
    assert many["get secrets"] + many["patch secrets"] <= 4, many
    assert abs(size(kubectl, "secret", REDIS_SECRET) - sizes[0]) < 100
    assert abs(size(kubectl, "deployment", "few-000") - sizes[1]) < 100
    assert operator.metric("operator_pools") == FEW + MANY


def test_a_pool_reacts_while_many_others_are_created(operator: Operator, kubectl: Kubectl, valkey: Valkey) -> None:
    kubectl.apply(*pools("quick", QUICK))
    eventually("they are settled", lambda: ready(kubectl) == QUICK, within=60)
    names = [f"quick-{number:03d}" for number in range(QUICK)]
    before = [reaction(kubectl, valkey, name) for name in names[:ALONE]]
    applying = threading.Thread(target=kubectl.apply, args=pools("many", MANY))
    applying.start()
    times = []
    for name in names[ALONE:]:
        times.append(reaction(kubectl, valkey, name))
        if ready(kubectl) >= MANY:
            break
    applying.join()
    assert len(times) > 2, "else nothing was measured while the others were taken up"
    # A busy machine is slow at both; pools that wait for all others take tens of seconds.
    assert statistics.median(times) < max(1.0, 6 * statistics.median(before)), (before, times)
    assert operator.metric("operator_leading") == 1


def reaction(kubectl: Kubectl, valkey: Valkey, name: str) -> float:
    """Return the seconds from a new job to the Deployment's new size, the time of kubectl included."""
    began = time.monotonic()
    enqueue(valkey, name, 1)
    eventually("it reacts", partial(scaled, kubectl, name))
    return time.monotonic() - began


def scaled(kubectl: Kubectl, name: str) -> bool:
    return kubectl.run("get", "deployment", name, "--output=jsonpath={.spec.replicas}") == "1"


def test_the_secret_has_few_owners_and_exists_as_long_as_a_pool(
    operator: Operator, make_operator: Callable[[str], Operator], kubectl: Kubectl
) -> None:
    kubectl.apply(*pools("many", 10))
    eventually("all are settled", lambda: ready(kubectl) == 10, within=60)
    names = {each["metadata"]["name"] for each in kubectl.list("workerpools")}
    while len(names) > MAX_OWNERS:
        gone = owners(kubectl)
        assert len(gone) == MAX_OWNERS
        kubectl.run("delete", "workerpool", *gone)
        names -= gone
        eventually("others own it", partial(owned_by, kubectl, names), within=20)
    assert make_operator("b").identity == "b"  # it stands by, and need not know anything of this namespace
    operator.stop()
    kubectl.run("delete", "workerpool", *names)
    eventually("it goes with the last one", lambda: kubectl.get("secret", REDIS_SECRET) is None, within=30)


def owned_by(kubectl: Kubectl, names: set[str]) -> bool:
    found = owners(kubectl)
    return len(found) == min(MAX_OWNERS, len(names)) and found <= names


def owners(kubectl: Kubectl) -> set[str]:
    found = kubectl.get("secret", REDIS_SECRET) or {"metadata": {}}
    return {each["name"] for each in found["metadata"].get("ownerReferences", [])}
