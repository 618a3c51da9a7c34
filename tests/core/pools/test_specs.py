"""Specs of pools: defaults, and rules between fields."""

from typing import Any

import pytest
from pydantic import ValidationError

from jobpools.core.pools.specs import PoolSpec, ScalingMode
from tests.support.pools import pool_spec


def test_the_smallest_spec_has_documented_defaults() -> None:
    spec = pool_spec()
    assert (spec.scaling.mode, spec.scaling.min, spec.scaling.max) == (ScalingMode.AUTO, 0, 10)
    assert [(queue.name, queue.weight) for queue in spec.queues] == [("emails", 1)]
    assert PoolSpec.model_validate(spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)) == spec


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"queues": []}, "at least 1 item"),
        ({"queues": ["a", {"name": "a"}]}, "duplicate queue: a; list each queue once"),
        ({"replicas": 3}, "replicas is used only with scaling.mode: Manual; remove it or set that mode"),
        ({"scaling": {"min": 3, "max": 2}}, "min (3) is greater than max (2)"),
        ({"job": {"timeout": "0s"}}, "must be more than 0s"),
        ({"redis": {}}, "set exactly one of url and secretKeyRef"),
        ({"template": {"metadata": {"labels": []}}}, "metadata.labels must be a mapping"),
        ({"template": {"spec": {"containers": [{}]}}}, "spec.containers must be a list of mappings, each with a name"),
        ({"cpus": 2}, "Extra inputs are not permitted"),
    ],
)
def test_an_invalid_spec_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        pool_spec(**fields)
    assert message in str(caught.value)
