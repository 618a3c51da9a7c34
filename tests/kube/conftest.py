"""Fixtures for tests marked `api`, which use the API server of KUBECONFIG."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from jobpools_operator.kube.client import Api
from tests.cluster.kubectl import Kubectl
from tests.kube.processes import Operator, Valkey
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def api_server() -> Path:
    """Install the CRDs; return the KUBECONFIG."""
    config = os.environ.get("KUBECONFIG")
    if not config:
        message = "no API server: hack/with-test-cluster.sh pytest … gives one (docs/testing.md)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    crds = ("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    Kubectl("default").run(*crds)
    names = ("crd/workerpools.jobpools.dev", "crd/cronjobspecs.jobpools.dev")
    Kubectl("default").run("wait", "--for=condition=Established", *names, "--timeout=30s")
    return Path(config)


@pytest.fixture
def kubectl(api_server: Path) -> Iterator[Kubectl]:  # noqa: ARG001  # it must run first
    """kubectl in a namespace that only this test uses."""
    made = Kubectl(f"kube-{secrets.token_hex(3)}")
    made.run("create", "namespace", made.namespace)
    yield made
    made.run("delete", "namespace", made.namespace, "--wait=false")


@pytest.fixture
async def api(api_server: Path) -> AsyncIterator[Api]:  # noqa: ARG001  # it must run first
    made = await Api.connect()
    yield made
    await made.close()


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    made = Valkey()
    made.start()
    yield made
    made.stop()


RIGHTS = ("serviceaccount", "clusterrole", "clusterrolebinding", "role", "rolebinding")


@pytest.fixture
def rights(kubectl: Kubectl, tmp_path: Path) -> Iterator[Path]:
    """The KUBECONFIG of a service account that has only the rights that the chart grants to the operator."""
    parts = [f"--show-only=templates/operator-{part}.yaml" for part in RIGHTS]
    chart = ("helm", "template", kubectl.namespace, str(ROOT / "helm" / "jobpools"), "-n", kubectl.namespace, *parts)
    objects = subprocess.run(chart, capture_output=True, text=True, check=True).stdout
    kubectl.run("apply", "-f", "-", stdin=objects)
    token = kubectl.run("create", "token", f"{kubectl.namespace}-operator").strip()
    config = json.loads(kubectl.run("config", "view", "--raw", "--minify", "--flatten", "--output=json"))
    config["users"][0]["user"] = {"token": token}
    path = tmp_path / "operator.conf"
    path.write_text(json.dumps(config))
    yield path
    names = (f"{kind}/{kubectl.namespace}-operator" for kind in RIGHTS if kind.startswith("cluster"))
    kubectl.run("delete", "--wait=false", *names)


@pytest.fixture
def make_operator(
    kubectl: Kubectl, valkey: Valkey, tmp_path: Path, rights: Path
) -> Iterator[Callable[[str], Operator]]:
    """`make_operator("a")` starts an operator with this identity. It manages only the test's namespace."""
    made: list[Operator] = []

    def make(identity: str) -> Operator:
        operator = Operator(valkey.url, kubectl.namespace, identity, tmp_path, rights)
        operator.start()
        made.append(operator)
        return operator

    yield make
    for operator in made:
        operator.stop()
        text = operator.log.read_text()
        sys.stdout.write(f"--- {operator.identity}\n{text}")  # pytest shows it when a test fails
        assert "Traceback" not in text, text
        assert "is forbidden: User" not in text, text


@pytest.fixture
def operator(make_operator: Callable[[str], Operator]) -> Operator:
    """One operator that leads."""
    made = make_operator("a")
    eventually("the operator leads", made.leads, within=20)
    return made
