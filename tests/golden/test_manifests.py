"""The YAML of pools and the recorded YAML of their Deployments, so that a change of rendering is seen in a review.

`JOBPOOLS_GOLDEN=write` records what is rendered now.
"""

import copy
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobpools.core.configuration.file_source import SettingsFile
from jobpools.core.configuration.resolution import Facts, resolve, source_of
from jobpools.core.pools.specs import Pool
from jobpools.errors import SpecError
from jobpools.settings import WorkerSettings
from jobpools_operator.handlers.parse import parse_pool
from jobpools_operator.kube import manifests

HERE = Path(__file__).parent
INPUTS = sorted(HERE.glob("input/*.yaml"))
URL = "redis://valkey.jobpools-system.svc:6379/0"


def pool(name: str, **spec: Any) -> Pool:
    body = yaml.safe_load((HERE / "input" / f"{name}.yaml").read_text())
    body["metadata"] |= {"uid": "11111111-2222-3333-4444-555555555555", "generation": 1}
    body["spec"] |= spec
    return parse_pool(body)


def worker(body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = body["spec"]["template"]["spec"]["containers"][0]
    return found


@pytest.mark.parametrize("name", [path.stem for path in INPUTS])
def test_the_deployment_is_rendered_as_recorded(name: str) -> None:
    rendered = yaml.safe_dump(manifests.deployment(pool(name), URL), sort_keys=False, width=120)
    golden = HERE / "output" / f"{name}.yaml"
    if os.environ.get("JOBPOOLS_GOLDEN") == "write":
        golden.write_text(rendered)
    assert rendered == golden.read_text()


def test_a_worker_in_a_pod_has_the_spec_of_its_pool_and_the_rest_of_a_file_in_the_image() -> None:
    made = pool("least", concurrency=7, job={"timeout": "20s"})
    rendered = worker(manifests.deployment(made, URL))["env"]
    environ = {each["name"]: each["value"] for each in rendered if "value" in each}
    file = SettingsFile("jobpools.toml", 'preset = "production"\nconcurrency = 3\nlease = "4s"\n[job]\ntimeout = "1h"')
    found = resolve(Facts({}, environ, file), WorkerSettings)
    settings = found.settings
    assert (settings.concurrency, settings.job.timeout, settings.job.retry.max_attempts) == (7, 20.0, 3)
    assert (settings.lease, settings.log_interval, settings.log) == (4.0, 300.0, "json")
    assert [source_of(found, name) for name in ("concurrency", "lease", "log_interval")] == [
        "JOBPOOLS_CONCURRENCY", "jobpools.toml:3", "preset production",
    ]  # fmt: skip


def test_a_pool_in_manual_mode_does_not_set_replicas() -> None:
    assert "replicas" not in manifests.deployment(pool("manual"), URL)["spec"]


def test_the_hash_changes_only_with_the_pod() -> None:
    def hashed(**spec: Any) -> str:
        found = manifests.deployment(pool("least", **spec), URL)["metadata"]["annotations"][manifests.HASH_ANNOTATION]
        assert isinstance(found, str)
        return found

    assert hashed() == hashed()
    assert hashed() == hashed(scaling={"max": 50}), "a change of scaling starts no new pods"
    assert hashed() == hashed(paused=True)
    assert hashed() == hashed(concurrency=9, queues=["x"], job={"retry": {"maxAttempts": 9}}), "running workers follow"
    assert len({hashed(), hashed(image="other:1"), hashed(job={"timeout": "1h"})}) == 3


def test_settings_that_running_workers_follow_change_their_own_annotation() -> None:
    def version(**spec: Any) -> str:
        found = manifests.deployment(pool("least", **spec), URL)["metadata"]["annotations"]
        return str(found[manifests.SETTINGS_ANNOTATION])

    own = {"spec": {"containers": [{"name": "worker", "env": [{"name": "JOBPOOLS_CONCURRENCY", "value": "9"}]}]}}
    assert version() == version(image="other:1", scaling={"max": 50})
    assert len({version(), version(concurrency=9), version(queues=["x"]), version(template=own)}) == 4
    assert version(template=own) == version(template=own, concurrency=3), "the template sets the variable itself"


def test_the_template_is_not_changed_and_may_not_change_the_selector() -> None:
    found = pool("template")
    before = copy.deepcopy(found.spec.template)
    body = manifests.deployment(found, URL)
    assert found.spec.template == before
    assert body["spec"]["selector"]["matchLabels"].items() <= body["spec"]["template"]["metadata"]["labels"].items()


def test_a_url_of_a_secret_is_not_in_the_deployment() -> None:
    assert "word" not in yaml.safe_dump(manifests.deployment(pool("secret"), "redis://:word@host/0"))


def test_the_grace_is_longer_than_the_job_timeout() -> None:
    body = manifests.deployment(pool("least", job={"timeout": "2.5s"}), URL)
    assert body["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 33
    assert {"name": "JOBPOOLS_GRACE", "value": "28"} in worker(body)["env"], "handed back before the pod is killed"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ({"spec": None}, "spec.template: spec must be a mapping"),
        ({"spec": []}, "spec.template: spec must be a mapping"),
        ({"metadata": None}, "spec.template: metadata must be a mapping"),
        ({"metadata": {"labels": None}}, "spec.template: metadata.labels must be a mapping"),
        ({"metadata": {"annotations": "a=b"}}, "spec.template: metadata.annotations must be a mapping"),
        ({"spec": {"containers": None}}, "spec.template: spec.containers must be a list of mappings, each with a name"),
        ({"spec": {"containers": ["worker"]}}, "spec.template: spec.containers must be a list of mappings"),
        ({"spec": {"containers": [{"image": "shop:1"}]}}, "spec.template: spec.containers must be a list of mappings"),
        ({"spec": {"containers": [{"name": "proxy", "image": "proxy:1"}]}}, "spec.image: missing"),
    ],
)
def test_an_invalid_template_is_refused(template: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=f"^{said}"):
        pool("least", template=template, image=None)


def test_odd_elements_of_a_template_are_passed_on() -> None:
    odd: list[Any] = [{"name": ["A"], "value": "1"}]
    made = pool("least", template={"spec": {"containers": [{"name": "worker", "env": odd}]}})
    assert worker(manifests.deployment(made, URL))["env"] == odd, "the API server refuses it"
