"""A pool's YAML in, its Deployment's YAML out: a change of one is to be seen in the other, and read before it is taken.

`JOBPOOLS_GOLDEN=write` takes what is rendered now for what is right.
"""

import copy
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobpools.core.pools.specs import Pool
from jobpools.errors import SpecError
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
def test_deployment(name: str) -> None:
    rendered = yaml.safe_dump(manifests.deployment(pool(name), URL), sort_keys=False, width=120)
    golden = HERE / "output" / f"{name}.yaml"
    if os.environ.get("JOBPOOLS_GOLDEN") == "write":
        golden.write_text(rendered)
    assert rendered == golden.read_text()


def test_the_number_of_workers_has_another_owner() -> None:
    assert "replicas" not in manifests.deployment(pool("manual"), URL)["spec"]


def test_equal_pools_have_equal_hashes_and_others_have_not() -> None:
    def hashed(**spec: Any) -> str:
        found = manifests.deployment(pool("least", **spec), URL)["metadata"]["annotations"][manifests.HASH_ANNOTATION]
        assert isinstance(found, str)
        return found

    assert hashed() == hashed()
    assert hashed() == hashed(scaling={"max": 50}), "scaling is no reason for new pods"
    assert hashed() == hashed(paused=True)
    assert len({hashed(), hashed(image="other:1"), hashed(concurrency=9), hashed(job={"timeout": "1h"})}) == 4


def test_the_template_is_not_changed_and_may_not_change_the_selector() -> None:
    found = pool("template")
    before = copy.deepcopy(found.spec.template)
    body = manifests.deployment(found, URL)
    assert found.spec.template == before
    assert body["spec"]["selector"]["matchLabels"].items() <= body["spec"]["template"]["metadata"]["labels"].items()


def test_a_url_with_a_password_is_nowhere_when_a_secret_names_it() -> None:
    assert "word" not in yaml.safe_dump(manifests.deployment(pool("secret"), "redis://:word@host/0"))


def test_the_longest_job_fits_into_the_grace() -> None:
    body = manifests.deployment(pool("least", job={"timeout": "2.5s"}), URL)
    assert body["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 33
    assert {"name": "JOBPOOLS_GRACE", "value": "28"} in worker(body)["env"], "handed back before it is killed"


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
def test_a_template_that_fits_no_pod_is_refused(template: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=f"^{said}"):
        pool("least", template=template, image=None)


def test_whatever_the_lists_of_a_template_hold_it_can_be_rendered() -> None:
    odd: list[Any] = [{"name": ["A"], "value": "1"}]
    made = pool("least", template={"spec": {"containers": [{"name": "worker", "env": odd}]}})
    assert worker(manifests.deployment(made, URL))["env"] == odd, "the API server is the one to refuse it"
