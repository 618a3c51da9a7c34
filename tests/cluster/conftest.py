"""Fixtures: the chart, installed once for the suite; a namespace, a queue and a pool for each test."""

import os
import secrets
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.kubectl import Kubectl, Object, condition, ready
from tests.cluster.queues import Queue
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
SYSTEM = "jobpools-suite-system"
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
IMAGES = ("WORKER", "OPERATOR", "VALKEY", "SUITE", "NEXT", "SHOP")

MakePool = Callable[..., "Pool"]
FAST_SCALE_DOWN = {"idle": "3s", "behavior": {"scaleDown": {"stabilization": "3s"}}}
"""Fields of `scaling` with which a pool scales down within seconds."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run this suite last: its operator manages all namespaces, and other suites test their own operators.

    The schedule's test comes last: by then several ticks have passed, and a leader was killed.
    """
    here = Path(__file__).parent
    items.sort(key=lambda item: (item.path.parent == here, item.path.name == "test_schedules.py"))


@pytest.fixture(scope="session")
def images() -> dict[str, str]:
    """The images by name. Without them, or without a cluster, the suite is skipped."""
    found = {name: os.environ.get(f"JOBPOOLS_{name}_IMAGE", "") for name in IMAGES}
    if not os.environ.get("KUBECONFIG") or not all(found.values()):
        message = "KUBECONFIG: there is no cluster with the images; run hack/with-test-cluster.sh (docs/testing.md)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


def make_namespace(name: str) -> Kubectl:
    kubectl = Kubectl(name)

    def is_gone() -> bool:
        return "deletionTimestamp" not in (kubectl.get("namespace", name) or {}).get("metadata", {})

    eventually(f"namespace {name} of an earlier run is gone", is_gone)
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}})
    return kubectl


def remove_namespace(kubectl: Kubectl) -> None:
    if not os.environ.get("JOBPOOLS_KEEP"):
        kubectl.run("delete", "namespace", kubectl.namespace, "--wait=false", "--ignore-not-found")


def image_values(prefix: str, image: str) -> list[str]:
    repository, _, tag = image.rpartition(":")
    return [f"--set={prefix}.image.repository={repository}", f"--set={prefix}.image.tag={tag}"]


def helm(*arguments: str) -> str:
    run = subprocess.run(["helm", "-n", SYSTEM, *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def operator_log(kubectl: Kubectl, lines: int = -1) -> str:
    return kubectl.run("logs", "--selector=app.kubernetes.io/component=operator", f"--tail={lines}", check=False)


@pytest.fixture(scope="session")
def system(images: dict[str, str]) -> Iterator[Kubectl]:
    """The operator's namespace, with the chart installed as its README describes, except for the images."""
    kubectl = make_namespace(SYSTEM)
    values = [*image_values("operator", images["OPERATOR"]), *image_values("valkey", images["VALKEY"])]
    helm("upgrade", "--install", "jobpools", str(ROOT / "helm" / "jobpools"), *values)
    try:
        kubectl.run("rollout", "status", "statefulset/jobpools-valkey", "--timeout=90s")
        rollout = kubectl.run("rollout", "status", "deployment/jobpools-operator", "--timeout=90s", check=False)
        if "successfully rolled out" not in rollout:
            pytest.exit(f"the operator is not ready: {rollout}\n{operator_log(kubectl, lines=40)}", returncode=1)
        yield kubectl
    finally:
        Path(os.environ.get("JOBPOOLS_OPERATOR_LOG", os.devnull)).write_text(operator_log(kubectl))
        if not os.environ.get("JOBPOOLS_KEEP"):
            helm("uninstall", "jobpools", "--wait", "--ignore-not-found")
            remove_namespace(kubectl)


@pytest.fixture(scope="session")
def redis_url(system: Kubectl) -> Iterator[str]:
    secret = system.get("secret", "jobpools-redis")
    assert secret is not None
    password = b64decode(secret["data"]["password"]).decode()
    with system.port_forward("service/jobpools-valkey", 6379) as port:
        yield f"redis://:{password}@127.0.0.1:{port}/0"


@pytest.fixture
def kubectl(system: Kubectl) -> Iterator[Kubectl]:  # noqa: ARG001  # the operator must be there
    """kubectl in a namespace that only this test uses and that accepts only `restricted` pods."""
    made = make_namespace(f"suite-{secrets.token_hex(3)}")
    yield made
    remove_namespace(made)


@pytest.fixture
def queue(redis_url: str) -> Queue:
    return Queue(redis_url, f"q{secrets.token_hex(3)}")


class Pool:
    """A WorkerPool, its Deployment and its pods."""

    def __init__(self, kubectl: Kubectl, name: str) -> None:
        self.kubectl = kubectl
        self.name = name

    def object(self) -> Object:
        found = self.kubectl.get("workerpool", self.name)
        assert found is not None
        return found

    def status(self) -> Object:
        status: Object = self.object().get("status", {})
        return status

    def deployment(self) -> Object | None:
        return self.kubectl.get("deployment", self.name)

    def pods(self) -> list[Object]:
        """Return the pods of the pool's Deployment, terminating ones included."""
        selector: str = self.status().get("selector", "")
        assert selector, "status.selector is missing; /scale needs it"
        return self.kubectl.list("pods", selector)

    def ready(self) -> list[Object]:
        return [pod for pod in self.pods() if ready(pod)]

    def is_ready(self) -> bool:
        return condition(self.object(), "Ready").get("status") == "True"

    def wait_ready(self, count: int) -> None:
        eventually(f"{count} workers of {self.name} are ready", lambda: len(self.ready()) == count)

    def wait_gone(self) -> None:
        eventually(f"no pod of {self.name} is left", lambda: not self.pods())


@pytest.fixture
def make_pool(kubectl: Kubectl, queue: Queue, images: dict[str, str]) -> MakePool:
    """`make_pool(scaling={…}, concurrency=…)` creates a pool that runs the jobs of the test's queue."""

    def make(name: str = "pool", **spec: Any) -> Pool:
        kubectl.apply(pool_object(name, queue.name, **{"image": images["SUITE"]} | spec))
        pool = Pool(kubectl, name)
        eventually("the operator has written the pool's status", lambda: pool.status().get("selector"), within=20)
        return pool

    return make


def pool_object(name: str, queue: str, **spec: Any) -> Object:
    small = {"containers": [{"name": "worker", "resources": {"requests": {"cpu": "10m", "memory": "48Mi"}}}]}
    base: Object = {"app": "jobs:app", "queues": [queue], "template": {"spec": small}}
    return {"apiVersion": "jobpools.dev/v1", "kind": "WorkerPool", "metadata": {"name": name}, "spec": base | spec}


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Return a function that prints despite pytest's capture, so that the log of a run shows kubectl's output."""

    def out(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{text.rstrip()}\n")

    return out


class Ticking:
    """A schedule that fires every minute while the suite runs."""

    def __init__(self, kubectl: Kubectl, queue: Queue, since: float) -> None:
        self.kubectl = kubectl
        self.queue = queue
        self.since = since


@pytest.fixture(scope="session", autouse=True)
def ticking(request: pytest.FixtureRequest) -> Iterator[Ticking | None]:
    """Start the schedule with the suite if its test is selected."""
    if not any(item.path.name == "test_schedules.py" for item in request.session.items):
        yield None
        return
    system, images = request.getfixturevalue("system"), request.getfixturevalue("images")
    queue = Queue(request.getfixturevalue("redis_url"), "ticks")
    kubectl = make_namespace("suite-ticks")
    schedule = {
        "apiVersion": "jobpools.dev/v1",
        "kind": "CronJobSpec",
        "metadata": {"name": "every-minute"},
        "spec": {"schedule": "*/1 * * * *", "job": {"name": "work", "queue": queue.name, "kwargs": {"seconds": 0.1}}},
    }
    kubectl.apply(
        pool_object("ticks", queue.name, image=images["SUITE"], scaling={"max": 1, **FAST_SCALE_DOWN}), schedule
    )
    yield Ticking(kubectl, queue, time.time())
    remove_namespace(kubectl)
    assert system
