"""The part of a pool's spec that its running workers follow without a restart."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

from jobpools.core.pools.specs import Pool
from jobpools.settings import worker_env

LIVE_VARIABLES = ("JOBPOOLS_QUEUES", "JOBPOOLS_CONCURRENCY", "JOBPOOLS_JOB", "JOBPOOLS_QUEUE")
"""Variables of `worker_env` whose values a running worker can change."""


class PoolSettings(NamedTuple):
    """Variables for the running workers of a pool, which precede those of their environment."""

    version: str
    """Changes with the variables."""
    variables: Mapping[str, str]


def live_settings(pool: Pool) -> PoolSettings:
    """Return the settings that running workers follow, without those that the pod template sets itself."""
    own = set(_template_variables(pool.spec.template))
    env = worker_env(pool, "")
    variables = {name: env[name] for name in LIVE_VARIABLES if name not in own}
    return PoolSettings(hashlib.sha256(json.dumps(variables).encode()).hexdigest()[:8], variables)


def _template_variables(template: Mapping[str, Any]) -> Iterator[str]:
    spec = template.get("spec")
    containers = cast("dict[str, Any]", spec).get("containers", []) if isinstance(spec, dict) else []
    for container in cast("list[dict[str, Any]]", containers):
        variables = container.get("env", [])
        for variable in cast("list[object]", variables) if isinstance(variables, list) else []:
            if isinstance(variable, dict):
                yield str(cast("dict[str, Any]", variable).get("name"))
