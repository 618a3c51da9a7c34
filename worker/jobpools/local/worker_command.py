"""The command that starts a worker process of a pool. It depends on the spec only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from jobpools.core.configuration.settings_table import BY_NAME
from jobpools.core.pools.specs import Pool
from jobpools.pool_settings import live_settings
from jobpools.settings import worker_env

SET_BY_UP = frozenset(BY_NAME[name].variable for name in ("worker", "log", "probe_port"))
"""Variables that a pod template does not set on a laptop: the processes of a pool share a terminal and a host."""


@dataclass(frozen=True, slots=True)
class Command:
    """Arguments and environment variables of a child process. Equal commands start equal workers."""

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    """Variables that are set in addition to the inherited ones."""
    live: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    """More of them, whose values running workers change without a restart."""

    def environ(self, inherited: Mapping[str, str], name: str) -> dict[str, str]:
        """Return the complete environment of the process called `name`."""
        return {**inherited, **dict(self.env), **dict(self.live), "JOBPOOLS_WORKER": name}


def worker_command(
    pool: Pool, redis_url: str, python: str, *, path: str = "", variables: Mapping[str, str] | None = None
) -> Command:
    """Return the command of a pool's workers.

    Args:
        pool: The pool that the worker belongs to.
        redis_url: URL of the Redis that the worker uses.
        python: Path of the Python interpreter.
        path: Value of PYTHONPATH; empty: the variable is inherited. Python looks for the app in the current folder
            first, and then in these folders.
        variables: Variables of the worker that precede those of the pod template.
    """
    own = worker_env(pool, redis_url)
    template = {name: value for name, value in template_env(pool).items() if name not in {*own, *SET_BY_UP}}
    env = template | own | dict(variables or {})
    if path:
        env["PYTHONPATH"] = path
    live = live_settings(pool).variables
    env = {name: value for name, value in env.items() if name not in live}
    # -u: what a handler prints appears at once, not when a buffer is full.
    return Command((python, "-u", "-m", "jobpools.cli", "worker"), tuple(sorted(env.items())), tuple(live.items()))


def template_env(pool: Pool) -> dict[str, str]:
    """Return the plain values in `env` of the pod template's containers; only a cluster can resolve `valueFrom`."""
    spec = pool.spec.template.get("spec")
    containers = cast("dict[str, Any]", spec).get("containers", ()) if isinstance(spec, dict) else ()
    found: dict[str, str] = {}
    for container in cast("list[object]", containers) if isinstance(containers, list) else ():
        for variable in cast("dict[str, Any]", container).get("env", ()) if isinstance(container, dict) else ():
            if _is_plain(variable) and variable.get("name"):
                found[str(variable["name"])] = variable["value"]
    return found


def _is_plain(variable: Any) -> bool:
    return isinstance(variable, dict) and isinstance(cast("dict[str, Any]", variable).get("value"), str)
