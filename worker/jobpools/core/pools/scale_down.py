"""Remove idle workers and never a busy one. It takes several passes, each of which starts from the facts alone.

    1. choose    the surplus: workers that are not ready first, then those that have been idle longest
    2. lock      DrainWorkers: it fails for a worker that holds a lease; a drained worker cannot claim
    3. mark      MarkWorkers: the cluster is to remove exactly the drained workers first
    4. scale     SetReplicas, when the cluster shows the marks
    5. compare   a chosen worker that still exists when the cluster has finished is counted and undrained

When the need rises again, fewer workers are chosen, and the others are undrained and unmarked. Every step is
idempotent, and the process may stop after any of them: the next pass, of this process or another, finds locks and
marks and continues or undoes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from jobpools.core.events import Event
from jobpools.core.pools.actions import Action, DrainWorkers, MarkWorkers, SetReplicas, UndrainWorkers
from jobpools.core.pools.memory import Memory
from jobpools.core.pools.reasons import Reason
from jobpools.core.pools.removal import (
    ScaleDownInput,
    choose_workers,
    is_safe_to_remove,
    needs_mark,
    removed_before,
    smallest_safe_size,
)
from jobpools.core.pools.workers import Worker
from jobpools.core.text.plurals import count_of


class Progress(Enum):
    """The progress of a scale-down after a pass."""

    NONE = "no scale-down is in progress"
    STEPPING = "the next step follows at once"
    WAITING = "the cluster has to change first, which may take days"


@dataclass(frozen=True, slots=True)
class ScaleDown:
    """The next step of a scale-down, or of its reversal."""

    actions: tuple[Action, ...]
    memory: Memory
    progress: Progress
    message: str
    """What this step does, or what it waits for."""
    events: tuple[Event, ...] = ()
    misdeletions: int = 0
    """Chosen workers that survived because the cluster removed others."""


def scale_down(pool: ScaleDownInput) -> ScaleDown:
    """Return the next step. Without a surplus it ends the scale-down and undrains workers that are not leaving."""
    alive = {worker.heartbeat.worker for worker in pool.workers if worker.heartbeat is not None}
    locked = tuple(worker for worker in pool.memory.locked if worker in alive)
    pool = replace(pool, memory=replace(pool.memory, locked=locked))
    leaving = _leaving(pool)
    if leaving > 0 or pool.surplus <= 0:
        return _finish(pool, leaving)
    missing = min(max(0, pool.replicas - len(pool.workers) - pool.unlisted), pool.surplus)
    if missing:
        # These workers were asked for and do not exist yet, so no worker has to be chosen. If they appear before the
        # cluster scales, they are not ready and are removed first. A host that sends heartbeats is not missing: the
        # watch of the cluster is behind.
        return _set_replicas(pool, pool.replicas - missing, ())
    chosen = choose_workers(pool)
    if pool.cluster.rolling and smallest_safe_size(pool, chosen) >= pool.replicas:
        undone = (*_undrain_others(pool, ()), *_mark_exactly(pool, ()))
        message = "waiting until the rollout ends or enough workers of each of its generations are idle"
        return ScaleDown(undone, pool.memory, Progress.WAITING, message)
    return _remove(pool, chosen)


def _remove(pool: ScaleDownInput, chosen: tuple[Worker, ...]) -> ScaleDown:
    """Lock the chosen workers, then mark those that are locked, then scale."""
    safe = tuple(worker for worker in chosen if is_safe_to_remove(pool, worker))
    to_mark = tuple(sorted(worker.name for worker in safe if needs_mark(pool, worker)))
    unlocked = tuple(each.heartbeat.worker for each in chosen if each.heartbeat and not pool.has_lock(each))
    # Crash window: until the SetReplicas below, workers are locked without being removed. The next pass takes the locks
    # again (they are idempotent) or releases them, depending on the need.
    locks = (*_undrain_others(pool, chosen), *([DrainWorkers(unlocked)] if unlocked else []))
    if locks or safe:
        pool = replace(pool, memory=replace(pool.memory, draining_since=pool.memory.draining_since or pool.now))
    if marks := _mark_exactly(pool, to_mark):
        message = f"{len(to_mark)} of {count_of(pool.surplus, 'surplus worker')} drained"
        return ScaleDown((*locks, *marks), pool.memory, Progress.STEPPING, message)
    size = smallest_safe_size(pool, safe)
    if size >= pool.replicas:
        message = (
            f"{count_of(pool.surplus, 'surplus worker')}: {len(unlocked)} being drained, the others busy or starting"
        )
        return ScaleDown(locks, pool.memory, Progress.STEPPING if unlocked else Progress.NONE, message)
    if other := removed_before(pool, safe):
        message = f"waiting for {other}: it is busy and not ready, so the cluster would remove it first"
        return ScaleDown(locks, pool.memory, Progress.WAITING, message)
    scaled = _set_replicas(pool, size, to_mark)
    return replace(scaled, actions=(*locks, *scaled.actions))


def _set_replicas(pool: ScaleDownInput, replicas: int, chosen: tuple[str, ...]) -> ScaleDown:
    # In a rollout more workers are chosen than removed, so a survivor does not mean that another one was removed.
    memory = replace(pool.memory, chosen=() if pool.cluster.rolling else chosen, scaled_down_to=replicas)
    names = f", removing the longest idle: {', '.join(chosen)}" if chosen else ""
    # Crash window: if the process ends here, the cluster scales down and the choice is lost. The locks remain, so the
    # workers stay idle, and `_leaving` keeps them locked until only as many workers exist as were asked for.
    return ScaleDown((SetReplicas(replicas),), memory, Progress.STEPPING, f"to {replicas}{names}")


def _finish(pool: ScaleDownInput, leaving: int) -> ScaleDown:
    """Wait for the workers that are still leaving, then compare, undrain and unmark."""
    kept = _likely_to_leave(pool, leaving)
    marked = tuple(sorted(worker.name for worker in kept if worker.is_marked))
    actions = (*_undrain_others(pool, kept), *_mark_exactly(pool, marked))
    if kept:
        return ScaleDown(
            actions, pool.memory, Progress.STEPPING, f"waiting for {count_of(len(kept), 'chosen worker')} to end"
        )
    if len(pool.workers) > pool.replicas:
        return ScaleDown(actions, pool.memory, Progress.NONE, "all chosen workers have ended")
    survivors = _survivors(pool)
    memory = replace(pool.memory, chosen=(), scaled_down_to=None, draining_since=None)
    return ScaleDown(actions, memory, Progress.NONE, "no worker is leaving", _misdeleted(survivors), len(survivors))


def _survivors(pool: ScaleDownInput) -> list[str]:
    if pool.memory.scaled_down_to != pool.replicas:
        return []
    return sorted(set(pool.memory.chosen) & {worker.name for worker in pool.workers})


def _misdeleted(survivors: Sequence[str]) -> tuple[Event, ...]:
    if not survivors:
        return ()
    message = f"the cluster kept {', '.join(survivors)}, which were chosen because idle, and removed other workers"
    return (Event(Reason.MISDELETED, message, warning=True),)


def _leaving(pool: ScaleDownInput) -> int:
    """Return how many drained or marked workers the cluster has yet to remove for the size it was asked for."""
    if not any(worker.is_draining or worker.is_marked for worker in pool.workers):
        return 0
    unready = sum(not (worker.is_ready or worker.is_marked or worker.is_draining) for worker in pool.workers)
    return len(pool.workers) - pool.replicas - unready


def _likely_to_leave(pool: ScaleDownInput, count: int) -> tuple[Worker, ...]:
    candidates = [worker for worker in pool.workers if worker.is_draining or worker.is_marked]
    candidates.sort(key=lambda worker: (not (worker.is_draining and worker.is_marked), worker.name))
    return tuple(candidates[: max(0, count)])


def _undrain_others(pool: ScaleDownInput, kept: Sequence[Worker]) -> tuple[Action, ...]:
    names = {worker.name for worker in kept}
    ids = tuple(
        worker.heartbeat.worker
        for worker in pool.workers
        if worker.heartbeat is not None and worker.is_draining and worker.name not in names
    )
    return (UndrainWorkers(ids),) if ids else ()


def _mark_exactly(pool: ScaleDownInput, names: tuple[str, ...]) -> tuple[Action, ...]:
    return () if pool.marked == names else (MarkWorkers(names),)
