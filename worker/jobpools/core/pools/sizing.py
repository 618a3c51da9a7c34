"""How many workers a pool needs."""

from dataclasses import dataclass, replace

from jobpools.core.decision import Decision
from jobpools.core.pools.facts import PoolFacts
from jobpools.core.pools.memory import Memory
from jobpools.core.pools.reasons import Reason
from jobpools.core.pools.scaling_history import add_need, add_replicas
from jobpools.core.pools.scaling_rules import RULES_AFTER_NEED, SizingInput, need
from jobpools.core.pools.specs import PoolSpec, ScalingMode
from jobpools.core.pools.workers import busy_hosts
from jobpools.core.text.plurals import count_of


@dataclass(frozen=True, slots=True)
class Sizing:
    """The number of workers a pool needs, and the memory for the next pass."""

    desired: Decision[int | None]
    """None: something is unknown, and the current number is held."""
    memory: Memory
    is_limited: bool = False
    """Whether a limit of `scaling` changed the number that the queues ask for."""
    is_temporary: bool = False
    """Whether the number may change by the passing of time alone."""


def size_pool(spec: PoolSpec, facts: PoolFacts, memory: Memory, now: float) -> Sizing:
    """Return the number of workers the pool needs."""
    if facts.cluster is None:
        message = f"the cluster cannot be read{_because(facts, Reason.CLUSTER_UNKNOWN)}"
        return Sizing(Decision(None, Reason.CLUSTER_UNKNOWN, message), memory)
    current = facts.cluster.replicas or 0
    memory = replace(memory, replicas=add_replicas(memory.replicas, current, spec.scaling.behavior, now))
    if spec.paused:
        return Sizing(Decision(current, Reason.PAUSED, f"spec.paused is true; {_workers(current)} kept"), memory)
    if spec.scaling.mode is ScalingMode.MANUAL:
        wanted = current if spec.replicas is None else spec.replicas
        message = f"scaling.mode is Manual: {_workers(wanted)} asked for"
        return Sizing(Decision(wanted, Reason.MANUAL, message), memory)
    if facts.queues is None or facts.heartbeats is None:
        message = f"the queues cannot be read{_because(facts, Reason.QUEUES_UNKNOWN)}; {_workers(current)} kept"
        return Sizing(Decision(None, Reason.QUEUES_UNKNOWN, message), memory)
    return _size_by_demand(spec, facts, memory, now)


def _size_by_demand(spec: PoolSpec, facts: PoolFacts, memory: Memory, now: float) -> Sizing:
    pool = SizingInput(
        spec=spec,
        queues=tuple((facts.queues or {}).values()),
        current=(facts.cluster.replicas or 0) if facts.cluster else 0,
        busy=len(busy_hosts(facts)),
        active_at=_active_at(facts, memory, now),
        needed=memory.desired,
        replicas=memory.replicas,
        now=now,
    )
    size = need(pool)
    needed = add_need(memory.desired, size.workers, pool.current, spec.scaling.behavior, now)
    pool = replace(pool, needed=needed)
    for rule in RULES_AFTER_NEED:
        size = rule(pool, size)
    return Sizing(
        desired=Decision(size.workers, size.reason, size.message),
        memory=replace(memory, desired=needed, active_at=pool.active_at),
        is_limited=size.is_limited,
        is_temporary=size.is_temporary,
    )


def _active_at(facts: PoolFacts, memory: Memory, now: float) -> float:
    """Return when a job was last queued, due or running; after a restart, what the heartbeats show of it."""
    if facts.demand:
        return now
    known = [memory.active_at] if memory.active_at is not None else []
    # A worker that has run no job is idle since its start, which does not show when the queues became empty.
    known += [
        each.idle_since
        for each in facts.heartbeats or ()
        if each.idle_since is not None and each.completed + each.failed
    ]
    return min(max(known, default=now), now)


def _because(facts: PoolFacts, reason: Reason) -> str:
    causes = facts.why_unknown(reason)
    return f": {causes}" if causes else ""


def _workers(count: int) -> str:
    """Return the subject of a message, as in `3 workers are`."""
    return count_of(count, "worker is", "workers are")
