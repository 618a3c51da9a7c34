"""The CRDs: generated from the specs, and enforced by a real API server."""

import json
from pathlib import Path
from typing import Any

import pytest

from jobpools_operator import crdgen
from tests.cluster.kubectl import Kubectl, Object

ROOT = Path(__file__).parents[2]


def pool(name: str = "emails", **spec: Any) -> Object:
    base: Object = {"image": "shop:1", "app": "shop.jobs:app", "queues": ["emails"]}
    return {"apiVersion": "jobpools.dev/v1", "kind": "WorkerPool", "metadata": {"name": name}, "spec": base | spec}


def schedule(name: str = "report", **spec: Any) -> Object:
    base: Object = {"job": {"name": "report", "kwargs": {"deep": [{"er": None}]}, "metadata": {"n": 1}}}
    return {"apiVersion": "jobpools.dev/v1", "kind": "CronJobSpec", "metadata": {"name": name}, "spec": base | spec}


def test_the_committed_files_are_what_the_specs_generate(tmp_path: Path) -> None:
    crdgen.main([str(tmp_path)])
    for made in tmp_path.iterdir():
        assert made.read_text() == (ROOT / "crds" / made.name).read_text(), "run `make generate`"


def test_every_field_has_a_description() -> None:
    def walk(schema: Object, path: str) -> None:
        for name, found in schema.get("properties", {}).items():
            assert found.get("description"), f"{path}.{name}"
            walk(found, f"{path}.{name}")
            walk(found.get("items", {}), f"{path}.{name}")

    for crd in crdgen.crds().values():
        (version,) = crd["spec"]["versions"]
        schema = version["schema"]["openAPIV3Schema"]
        for part in ("spec", "status"):
            walk(schema["properties"][part], part)


@pytest.mark.api
def test_kubectl_get_accepts_the_short_names_and_shows_the_columns(kubectl: Kubectl) -> None:
    kubectl.apply(pool(), schedule(schedule="0 * * * *"))
    head = kubectl.run("get", "jobpools").splitlines()[0].split()
    assert head == ["NAME", "READY", "DESIRED", "BUSY", "QUEUED", "OLDEST", "REASON", "AGE"]
    wide = kubectl.run("get", "jobpool", "-o", "wide").splitlines()[0].split()
    assert wide == [*head[:-1], "MIN", "MAX", "IN-FLIGHT", "PAUSED", "RATE/MIN", "FAILURES", "AGE"]
    schedules = ["NAME", "SCHEDULE", "TIMEZONE", "SUSPEND", "NEXT", "LAST", "STATE", "AGE"]
    assert kubectl.run("get", "jobcrons").splitlines()[0].split() == schedules
    both = kubectl.run("get", "jobpools-all", "--output=name").split()
    assert both == ["cronjobspec.jobpools.dev/report", "workerpool.jobpools.dev/emails"]


@pytest.mark.api
def test_the_api_server_writes_defaults_into_the_object(kubectl: Kubectl) -> None:
    kubectl.apply(pool())
    found = kubectl.get("workerpool", "emails")
    assert found is not None
    spec = found["spec"]
    assert spec["scaling"]["behavior"] == {
        "scaleUp": {"stabilization": "0s", "policies": []},
        "scaleDown": {"stabilization": "60s", "policies": []},
    }
    assert (spec["scaling"]["min"], spec["scaling"]["max"], spec["concurrency"]) == (0, 10, 5)
    assert spec["job"]["retry"]["maxAttempts"] == 3
    assert "replicas" not in spec


@pytest.mark.api
def test_kubectl_explain_shows_descriptions_and_defaults(kubectl: Kubectl) -> None:
    text = " ".join(kubectl.run("explain", "workerpool.spec.scaling").split())  # it wraps its lines
    for words in ("jobsPerWorker", "Target number of queued and running jobs per worker", "Default: 10."):
        assert words in text
    assert "<no description>" not in text
    assert "Default: Auto." in text
    assert "enum: Auto, Manual" in text


@pytest.mark.api
@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"queues": ["a", {"name": "b", "weight": 2}]},
        {"replicas": 3, "scaling": {"mode": "Manual"}},
        {"scaling": {"min": 2, "max": 2, "schedules": [{"cron": "0 8 * * 1-5", "duration": "10h", "min": 2}]}},
        {"redis": {"secretKeyRef": {"name": "r", "key": "url"}}},
        {"template": {"spec": {"containers": [{"name": "worker", "resources": {"limits": {"memory": "1Gi"}}}]}}},
        {"job": {"timeout": "1h30m", "retry": {"strategy": "fixed", "onErrors": ["httpx.ConnectError"]}}},
    ],
    ids=["minimal", "queues", "manual", "schedules", "secret", "template", "job"],
)
def test_valid_pools_are_accepted(kubectl: Kubectl, spec: Object) -> None:
    kubectl.apply(pool(**spec))


BAD_POOLS: list[tuple[Object, str]] = [
    ({"job": {"timeout": "0s"}}, "must be more than 0s"),
    ({"job": {"timeout": "0h0.0m"}}, "must be more than 0s"),
    ({"scaling": {"min": 3, "max": 2}}, "min (3) is greater than max (2)"),
    ({"scaling": {"min": 11}}, "min (11) is greater than max (10)"),
    ({"replicas": 3}, "replicas is used only with scaling.mode: Manual"),
    ({"redis": {}}, "set exactly one of url and secretKeyRef"),
    ({"redis": {"url": ""}}, "spec.redis.url"),
    ({"redis": {"url": "redis://a", "secretKeyRef": {"name": "r", "key": "k"}}}, "set exactly one of"),
    ({"scaling": {"idle": "soon"}}, "spec.scaling.idle"),
    ({"scaling": {"idle": 60}}, "spec.scaling.idle"),
    ({"scaling": {"mode": "auto"}}, 'supported values: "Auto", "Manual"'),
    ({"scaling": {"mx": 2}}, 'unknown field "spec.scaling.mx"'),
    ({"queues": []}, "spec.queues"),
    ({"app": "no-colon"}, "spec.app"),
    ({"concurrency": 0}, "spec.concurrency"),
    ({"alerts": {"failureRate": 2}}, "spec.alerts.failureRate"),
]


@pytest.mark.api
@pytest.mark.parametrize(("spec", "words"), BAD_POOLS, ids=[str(spec) for spec, _ in BAD_POOLS])
def test_an_invalid_pool_is_refused_with_a_clear_message(kubectl: Kubectl, spec: Object, words: str) -> None:
    with pytest.raises(AssertionError) as refusal:
        kubectl.apply(pool(**spec))
    assert words in str(refusal.value)
    assert kubectl.get("workerpool", "emails") is None


@pytest.mark.api
@pytest.mark.parametrize(
    ("name", "words"), [("n" * 48, "at most 47 characters"), ("a.b", "must be a DNS label")], ids=["long", "dot"]
)
def test_names_that_are_too_long_for_pods_are_refused(kubectl: Kubectl, name: str, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        kubectl.apply(pool(name))


@pytest.mark.api
@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({}, "set exactly one of schedule and at"),
        ({"schedule": "@daily", "at": "2027-01-01T00:00:00Z"}, "set exactly one of schedule and at"),
        ({"schedule": "@daily", "concurrencyPolicy": "Never"}, 'supported values: "Allow", "Forbid", "Replace"'),
        ({"at": "tomorrow"}, "spec.at"),
        ({"schedule": "@daily", "job": {}}, "spec.job.name"),
        ({"schedule": "@daily", "timezone": "UTC"}, 'unknown field "spec.timezone"'),
        ({"schedule": "@daily", "job": {"name": "report", "expires": "0s"}}, "must be more than 0s"),
    ],
    ids=["neither", "both", "policy", "at", "job", "typo", "expires"],
)
def test_an_invalid_schedule_is_refused_with_a_clear_message(kubectl: Kubectl, spec: Object, words: str) -> None:
    with pytest.raises(AssertionError) as refusal:
        kubectl.apply(schedule(**spec))
    assert words in str(refusal.value)


@pytest.mark.api
def test_arguments_of_a_job_are_stored_unchanged(kubectl: Kubectl) -> None:
    kubectl.run("create", "-f", "-", stdin=json.dumps(schedule(at="2099-01-01T00:00:00Z")))  # `apply` leaves out nulls
    found = kubectl.get("jobcron", "report")
    assert found is not None
    assert found["spec"]["job"]["kwargs"] == {"deep": [{"er": None}]}
    assert found["spec"]["job"]["metadata"] == {"n": 1}


@pytest.mark.api
def test_kubectl_scale_changes_spec_replicas(kubectl: Kubectl) -> None:
    kubectl.apply(pool(replicas=1, scaling={"mode": "Manual"}))
    kubectl.run("scale", "workerpool/emails", "--replicas=4")
    found = kubectl.get("workerpool", "emails")
    assert found is not None
    assert found["spec"]["replicas"] == 4
