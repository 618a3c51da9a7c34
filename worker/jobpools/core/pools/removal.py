"""Which workers a scale-down may remove.

In a rollout the cluster removes workers of several generations, and it is unknown how many of each. The cluster
follows the marks only within a generation. So a size is safe only if each generation alone could provide the whole
surplus.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jobpools.core.pools.facts import ClusterFacts
from jobpools.core.pools.memory import Memory
from jobpools.core.pools.workers import Worker

STARTUP_TIME: Final = 30.0
"""Seconds after its start in which a worker may become ready, and may claim before its first heartbeat."""


@dataclass(frozen=True, slots=True)
class ScaleDownInput:
    """One pool whose facts are all known: the input of a scale-down step."""

    cluster: ClusterFacts
    workers: tuple[Worker, ...]
    surplus: int
    """Number of workers asked for beyond the need; negative if there are too few."""
    leases: int
    """Jobs in flight in all queues of the pool."""
    memory: Memory
    now: float
    unlisted: int = 0
    """Number of hosts that send heartbeats but are not listed by the cluster: they have just started or ended."""

    @property
    def replicas(self) -> int:
        """Number of workers asked for now."""
        return self.cluster.replicas or 0

    @property
    def marked(self) -> tuple[str, ...]:
        """Names of the workers that the cluster is to remove first."""
        return tuple(sorted(worker.name for worker in self.workers if worker.is_marked))

    def has_lock(self, worker: Worker) -> bool:
        """Return whether this process drained the worker.

        A drain that another process began may be incomplete: a crash can end it between two queues.
        """
        return worker.heartbeat is not None and worker.is_draining and worker.heartbeat.worker in self.memory.locked


def choose_workers(pool: ScaleDownInput) -> tuple[Worker, ...]:
    """Return the workers to remove: the surplus, as far as it may be removed; in a rollout, that of each generation.

    Workers that are not ready come first, then drained ones, then paused ones, because neither claims a job; then
    those that have been idle longest.
    """
    chosen: list[Worker] = []
    for generation in _generations(pool):
        candidates = [worker for worker in generation if _is_removable(pool, worker)]
        candidates.sort(key=_removal_order)
        chosen += candidates[: _max_removed_of_generation(pool)]
    return tuple(chosen)


def is_safe_to_remove(pool: ScaleDownInput, worker: Worker) -> bool:
    """Return whether a chosen worker can no longer claim."""
    return worker.heartbeat is None or pool.has_lock(worker)


def smallest_safe_size(pool: ScaleDownInput, removable: Sequence[Worker]) -> int:
    """Return the smallest size at which the cluster removes no other workers than these."""
    names, lacking = {worker.name for worker in removable}, 0
    for generation in _generations(pool):
        available = sum(worker.name in names for worker in generation)
        if available < len(generation):
            lacking = max(lacking, _max_removed_of_generation(pool) - available)
    return pool.replicas - pool.surplus + lacking


def needs_mark(pool: ScaleDownInput, worker: Worker) -> bool:
    """Return whether the worker must be marked: in a rollout, only if a worker of its generation is ready."""
    if not pool.cluster.rolling:
        return True
    generation = worker.facts.generation
    return any(each.is_ready for each in pool.workers if each.facts.generation == generation)


def removed_before(pool: ScaleDownInput, chosen: Sequence[Worker]) -> str:
    """Return the name of a worker that was not chosen and that the cluster would remove before the chosen ones.

    The cluster removes workers that are not ready before those that are marked. Empty if there is none.
    """
    names = {worker.name for worker in chosen}
    for generation in _generations(pool):
        if any(worker.is_ready for worker in generation if worker.name in names):
            others = (each.name for each in generation if not each.is_ready and each.name not in names)
            if first := next(others, ""):
                return first
    return ""


def _generations(pool: ScaleDownInput) -> list[list[Worker]]:
    """Return the groups within which the cluster follows the marks: one group, except in a rollout."""
    groups: dict[str, list[Worker]] = {}
    for worker in pool.workers:
        groups.setdefault(worker.facts.generation if pool.cluster.rolling else "", []).append(worker)
    return list(groups.values())


def _max_removed_of_generation(pool: ScaleDownInput) -> int:
    """Return how many workers of one generation may be removed: the surplus, plus the extra workers in a rollout."""
    extra = len(pool.workers) - pool.replicas if pool.cluster.rolling else 0
    return pool.surplus + max(0, extra)


def _is_removable(pool: ScaleDownInput, worker: Worker) -> bool:
    if worker.heartbeat is not None:
        return pool.has_lock(worker) or not worker.is_busy
    is_starting = 0 <= pool.now - worker.facts.started <= STARTUP_TIME
    if not worker.is_ready:
        return worker.facts.problem is not None or not is_starting
    # A ready worker without a heartbeat may have claimed a job if the pool has a lease. Without a lease a short race
    # remains: a worker whose id is unknown cannot be drained. If it claims then, it finishes or hands back the job when
    # it receives SIGTERM.
    return pool.leases == 0 and not is_starting


def _removal_order(worker: Worker) -> tuple[bool, bool, bool, float, str]:
    return worker.is_ready, not worker.is_draining, not worker.is_paused, _idle_since(worker), worker.name


def _idle_since(worker: Worker) -> float:
    """Return a sort key: workers without a heartbeat come first, then those that have been idle longest."""
    if worker.heartbeat is None:
        return 0.0
    return worker.heartbeat.idle_since or worker.heartbeat.started
