"""`kubectl explain`: every field of both kinds, status included, has a description and shows its default."""

from collections.abc import Iterator
from typing import Any

import pytest

from jobpools.core.pools.specs import Pool
from jobpools_operator.crdgen import crds
from jobpools_operator.kube import manifests

KUBERNETES_OWN = ("apiVersion", "kind", "metadata")


def fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in schema.get("properties", {}).items():
        if not path and name in KUBERNETES_OWN:
            continue
        yield f"{path}.{name}", field
        yield from fields(field, f"{path}.{name}")
        yield from fields(field.get("items", {}), f"{path}.{name}")


@pytest.mark.parametrize("name", list(crds()))
def test_every_field_is_described_and_shows_its_default(name: str) -> None:
    (version,) = crds()[name]["spec"]["versions"]
    found = dict(fields(version["schema"]["openAPIV3Schema"]))
    assert len(found) > 20
    assert [path for path, field in found.items() if len(field.get("description", "")) < 10] == []
    plain = {path: field for path, field in found.items() if isinstance(field.get("default"), (str, int, float))}
    assert plain
    said = {True: "true", False: "false"}
    shown = {
        path: f"Default: {said[d] if isinstance(d := field['default'], bool) else d}." for path, field in plain.items()
    }
    assert [path for path, field in plain.items() if not field["description"].endswith(shown[path])] == []


def test_a_partial_scaling_behavior_keeps_the_other_defaults() -> None:
    spec = {"app": "a:b", "queues": ["q"], "scaling": {"behavior": {"scaleDown": {"policies": []}}}}
    pool = Pool.model_validate({"meta": {"name": "p"}, "spec": spec})
    assert pool.spec.scaling.behavior.scale_down.stabilization == 60.0
    schema = crds()["workerpools.yaml"]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    behavior = schema["properties"]["spec"]["properties"]["scaling"]["properties"]["behavior"]["properties"]
    assert behavior["scaleDown"]["properties"]["stabilization"]["default"] == "60s"


def test_the_selector_of_scale_matches_the_pods() -> None:
    pool = Pool.model_validate({"meta": {"name": "p"}, "spec": {"app": "a:b", "queues": ["q"]}})
    pod = manifests.deployment(pool, "redis://r:6379/0")["spec"]["template"]
    pairs = dict(part.split("=") for part in manifests.selector(pool).split(","))
    assert pairs.items() <= pod["metadata"]["labels"].items()
