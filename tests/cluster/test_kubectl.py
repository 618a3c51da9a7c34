"""What kubectl shows: descriptions, columns, refused objects, and the rights of worker pods."""

import pytest

from tests.cluster.conftest import MakePool, pool_object
from tests.cluster.kubectl import Kubectl
from tests.cluster.queues import Queue
from tests.support.waiting import eventually

pytestmark = pytest.mark.cluster


def test_kubectl_explain_describes_the_fields(kubectl: Kubectl) -> None:
    text = " ".join(kubectl.run("explain", "workerpool.spec.scaling").split())  # it wraps its lines
    assert "jobsPerWorker" in text
    assert "Target number of queued and running jobs per worker" in text
    assert "<no description>" not in kubectl.run("explain", "workerpool", "--recursive=false")
    assert "schedule" in kubectl.run("explain", "cronjobspec.spec")


def test_kubectl_get_has_short_names_and_columns(make_pool: MakePool, kubectl: Kubectl) -> None:
    make_pool("emails")
    head = kubectl.run("get", "jobpools").splitlines()[0].split()
    assert head == ["NAME", "READY", "DESIRED", "BUSY", "QUEUED", "OLDEST", "REASON", "AGE"]
    wide = kubectl.run("get", "jobpool", "--output=wide").splitlines()[0].split()
    assert {"MIN", "MAX"} < set(wide)
    assert "emails" in kubectl.run("get", "jobpools-all")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"scaling": {"min": 3, "max": 2}}, "min"),
        ({"replicas": 2}, "replicas"),
        ({"scaling": {"idle": "soon"}}, "spec.scaling.idle"),
        ({"scaling": {"mx": 2}}, "spec.scaling.mx"),
        ({"queues": []}, "spec.queues"),
        ({"app": "no-colon"}, "spec.app"),
    ],
)
def test_invalid_specs_are_refused_by_the_api_server(kubectl: Kubectl, spec: dict[str, object], words: str) -> None:
    with pytest.raises(AssertionError) as refusal:
        kubectl.apply(pool_object("wrong", "q", image="image", **spec))
    assert words in str(refusal.value)
    assert kubectl.get("workerpool", "wrong") is None


def test_a_missing_image_is_reported(make_pool: MakePool, queue: Queue) -> None:
    pool = make_pool(image="localhost/jobpools-no-such-image:1", scaling={"min": 1, "max": 1})

    def reasons() -> set[str]:
        return {c.get("reason", "") + " " + c.get("message", "") for c in pool.status().get("conditions", ())}

    eventually("a condition reports it", lambda: any("ImagePull" in r or "ErrImage" in r for r in reasons()), within=60)
    assert queue.queued() == 0


def test_a_name_that_is_too_long_is_refused(kubectl: Kubectl) -> None:
    with pytest.raises(AssertionError, match="47"):
        kubectl.apply(pool_object("n" * 48, "q", image="image"))


def test_worker_pods_have_no_rights(make_pool: MakePool) -> None:
    """The pods meet the Pod Security Standard `restricted`, or this namespace would refuse them."""
    pool = make_pool(scaling={"min": 1, "max": 1})
    pool.wait_ready(1)
    (pod,) = pool.pods()
    assert pod["spec"]["automountServiceAccountToken"] is False
    (container,) = pod["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["spec"]["terminationGracePeriodSeconds"] == 330, "the pool's timeout and 30 s"
