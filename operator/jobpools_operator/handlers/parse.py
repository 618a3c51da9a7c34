"""Parses objects of the API server."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from jobpools.core.objects import Meta
from jobpools.core.pools.specs import Pool
from jobpools.core.schedules.specs import Schedule
from jobpools.core.schema import Model
from jobpools.core.text.validation import explain
from jobpools.errors import SpecError
from jobpools_operator.kinds import Kind
from jobpools_operator.kube.manifests import CONTAINER
from jobpools_operator.objects import Managed

M = TypeVar("M", bound=Model)


def meta_of(body: Mapping[str, Any]) -> Meta:
    """Return the object's metadata, not validated: an object that an older CRD accepted must get a status as well."""
    found = body["metadata"]
    return Meta.model_construct(
        name=found["name"], namespace=found["namespace"], uid=found["uid"], generation=found.get("generation", 0)
    )


def parse(kind: Kind, body: Mapping[str, Any]) -> Managed:
    """Return the object with its spec. Raises SpecError, which names the path and what is wrong there."""
    return parse_pool(body) if kind is Kind.POOL else _parse(Schedule, body)


def parse_pool(body: Mapping[str, Any]) -> Pool:
    """Return the pool with its spec. Raises SpecError, which names the path and what is wrong there."""
    pool = _parse(Pool, body)
    containers = {each["name"]: each for each in pool.spec.template.get("spec", {}).get("containers", [])}
    if pool.spec.image is None and not containers.get(CONTAINER, {}).get("image"):
        raise SpecError("spec.image: missing; set the image that the workers run")
    return pool


def _parse(model: type[M], body: Mapping[str, Any]) -> M:
    meta = meta_of(body).model_dump()
    try:
        return model.model_validate({"meta": meta, "spec": dict(body.get("spec", {}))})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        top, *rest = first["loc"]
        path = ".".join(map(str, ("metadata" if top == "meta" else top, *rest)))
        raise SpecError(f"{path}: {explain(first)}") from error
