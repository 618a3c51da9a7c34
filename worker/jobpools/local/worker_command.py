"""What a worker process is started with: pure, so that a change of it can be seen by comparing."""

from collections.abc import Mapping
from dataclasses import dataclass

from jobpools.core.pools.specs import Pool
from jobpools.settings import worker_env


@dataclass(frozen=True, slots=True)
class Command:
    """Arguments and the variables that are set beside the inherited ones; equal commands start equal workers."""

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]

    def environ(self, inherited: Mapping[str, str], name: str) -> dict[str, str]:
        """The whole environment of the worker called `name`."""
        return {**inherited, **dict(self.env), "JOBPOOLS_WORKER": name}


def worker(pool: Pool, redis_url: str, python: str, path: str = "") -> Command:
    """The command of a pool's workers.

    `python` is the interpreter: the one that runs `jobpools up`. `path` is what PYTHONPATH is to be: the app is looked
    for in the present folder first, and then there.
    """
    env = worker_env(pool, redis_url) | template_env(pool)
    if path:
        env["PYTHONPATH"] = path
    # Unbuffered: what a handler prints is seen when it prints it.
    return Command((python, "-u", "-m", "jobpools.cli", "worker"), tuple(sorted(env.items())))


def template_env(pool: Pool) -> dict[str, str]:
    """The plain values among the containers' `env` of the pod template; the rest means something to a cluster only."""
    spec = pool.spec.template.get("spec")
    containers = spec.get("containers", ()) if isinstance(spec, dict) else ()
    found: dict[str, str] = {}
    for container in containers if isinstance(containers, list) else ():
        for entry in container.get("env", ()) if isinstance(container, dict) else ():
            if isinstance(entry, dict) and isinstance(entry.get("value"), str) and not _ours(str(entry.get("name"))):
                found[str(entry["name"])] = entry["value"]
    return found


def _ours(name: str) -> bool:
    return name.startswith("JOBPOOLS_")
