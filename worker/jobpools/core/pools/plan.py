"""Facts in, a plan out: what to do, what to say, and when to look again."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from jobpools.core.conditions import conditions
from jobpools.core.decision import Decision
from jobpools.core.events import Event
from jobpools.core.pools import alerts
from jobpools.core.pools.actions import (
    Action,
    DrainWorkers,
    EnsurePool,
    MaintainQueues,
    MarkWorkers,
    PauseWorkers,
    Plan,
    ReleaseLeases,
    SetReplicas,
    UndrainWorkers,
)
from jobpools.core.pools.facts import Memory, PoolFacts, QueueFacts
from jobpools.core.pools.scale_down import LEFT_TO_THE_CLUSTER, Scene, Shrink, shrink
from jobpools.core.pools.sizing import size
from jobpools.core.pools.specs import Pool
from jobpools.core.pools.status import Verdict, alerts_before, events, status
from jobpools.core.pools.workers import Member, roster, unlisted
from jobpools.core.schedules.actions import Fire, SchedulePlan

__all__ = [
    "Action",
    "DrainWorkers",
    "EnsurePool",
    "Event",
    "Fire",
    "MaintainQueues",
    "MarkWorkers",
    "PauseWorkers",
    "Plan",
    "ReleaseLeases",
    "SchedulePlan",
    "SetReplicas",
    "UndrainWorkers",
    "failed",
    "plan_pool",
]

SOON: Final = 0.05
"""The least number of seconds between two looks."""
STEP: Final = 0.2
"""Seconds to the next look while a scale-down takes its steps."""
ACTIVE: Final = 1.0
"""Seconds to the next look while there is work: nobody tells us that a queue that was not empty grows."""
UNKNOWN: Final = 2.0
"""Seconds to the next look when something could not be read, or an action failed."""
REST: Final = 15.0
"""Seconds to the next look when nothing is to be expected: wake-ups come by themselves, this is for a lost one."""


@dataclass(frozen=True, slots=True)
class _Look:
    """One pass: what was seen, and the number of workers it asks for."""

    pool: Pool
    facts: PoolFacts
    members: tuple[Member, ...]
    desired: Decision[int | None]
    now: float


def plan_pool(pool: Pool, facts: PoolFacts, memory: Memory, now: float, before: Mapping[str, Any] | None) -> Plan:
    """What to do about one pool. `before` is its status as last written, for what turned and since when."""
    sizing = size(pool.spec, facts, memory, now)
    members = roster(facts.cluster, facts.heartbeats or ()) if facts.cluster is not None else ()
    look = _Look(pool, facts, members, sizing.desired, now)
    shrinking = _shrink(look, sizing.memory)
    samples = alerts.remember_totals(memory.samples, facts, now)
    measured = alerts.rates(samples, facts, now)
    verdict = Verdict(
        pool=pool,
        facts=facts,
        members=members,
        desired=sizing.desired,
        shrinking=shrinking.step,
        rates=measured,
        alerts=alerts.firing(pool.spec.alerts, facts, measured, alerts_before(before)),
        memory=shrinking.memory,
        before=before,
        now=now,
    )
    after = status(verdict)
    return Plan(
        actions=(*_first_things(look), *_grow(look), *shrinking.actions),
        desired=sizing.desired,
        status=after,
        events=(*_resized(look, shrinking), *shrinking.events, *events(before, after)),
        memory=replace(shrinking.memory, samples=samples),
        requeue_after=_requeue(look, shrinking),
        misdeletions=shrinking.misdeletions,
    )


def failed(  # the plan, what went wrong, and what was there before
    plan: Plan, action: str, error: str, before: Mapping[str, Any] | None, now: float, *, missing: bool = False
) -> Plan:
    """The plan as it is to be reported when one of its actions failed: Degraded, and worth another look soon.

    `missing`: what the action was to make is not there, so no job that comes is worked on: not Ready either.
    """
    said: Decision[bool | None] = Decision(True, "ActionFailed", f"{action}: {error}")
    judged = {"Ready": replace(said, value=False)} if missing else {}
    judged["Degraded"] = said
    kept = [each for each in plan.status.get("conditions", []) if each["type"] not in judged]
    generation = int(plan.status.get("observedGeneration", 0))
    told = {**plan.status, "conditions": [*kept, *conditions(judged, before, generation, now)]}
    news = tuple(each for each in events(before, told) if each.reason == said.reason)
    return replace(plan, status=told, events=news[:1], requeue_after=max(UNKNOWN, plan.requeue_after))


def _first_things(look: _Look) -> tuple[Action, ...]:
    """What does not wait for a size: the Deployment, the leases of the gone, work that no worker is there to find."""
    cluster = look.facts.cluster
    if cluster is None:
        return ()
    actions: list[Action] = []
    if cluster.outdated:
        actions.append(EnsurePool())
    if look.facts.queues is None:
        return tuple(actions)
    there = {worker.name for worker in cluster.workers}
    # Who is gone is seen once. Should the release fail or we end here, the leases run out by themselves.
    if gone := tuple(sorted(set(cluster.gone) - there)):
        actions.append(ReleaseLeases(gone))
    waiting = any(_needs_upkeep(queue, look.pool.spec.queue.keep) for queue in look.facts.queues.values())
    if waiting and not any(member.serving for member in look.members):
        actions.append(MaintainQueues())
    return tuple(actions)


def _needs_upkeep(queue: QueueFacts, keep: tuple[int, int]) -> bool:
    """Whether a queue has something that its workers would promote, rescue or forget."""
    completed, dead = keep
    return bool(queue.due or queue.in_flight or queue.expired) or queue.ended > completed or queue.dead > dead


def _grow(look: _Look) -> tuple[Action, ...]:
    cluster, wanted = look.facts.cluster, look.desired.value
    if cluster is None or wanted is None or wanted <= (cluster.replicas or 0):
        return ()
    return (SetReplicas(wanted),)


def _shrink(look: _Look, memory: Memory) -> Shrink:
    cluster, queues, wanted = look.facts.cluster, look.facts.queues, look.desired.value
    if cluster is None or queues is None or look.facts.heartbeats is None or wanted is None:
        return Shrink((), memory, Decision(False, look.desired.reason, look.desired.message))
    if look.pool.spec.paused:
        # Every time anew: a worker may have come, and a lock does not last for ever.
        ids = tuple(member.heartbeat.worker for member in look.members if member.heartbeat is not None)
        memory = replace(memory, locked=(), victims=(), shrunk_to=None)
        step = Decision(False, "Paused", "the number of workers is held")
        return Shrink((PauseWorkers(ids),) if ids else (), memory, step)
    scene = Scene(
        cluster=cluster,
        members=look.members,
        surplus=(cluster.replicas or 0) - wanted,
        leases=sum(queue.in_flight for queue in queues.values()),
        memory=memory,
        now=look.now,
        unlisted=len(unlisted(cluster, look.facts.heartbeats)),
    )
    return shrink(scene)


def _resized(look: _Look, shrinking: Shrink) -> tuple[Event, ...]:
    for action in (*_grow(look), *shrinking.actions):
        if isinstance(action, SetReplicas) and look.facts.cluster is not None:
            current = look.facts.cluster.replicas or 0
            kind = "ScaledUp" if action.replicas > current else "ScaledDown"
            return (Event(kind, f"from {current} to {action.replicas}: {look.desired.message}"),)
    return ()


def _requeue(look: _Look, shrinking: Shrink) -> float:
    if look.desired.value is None or look.facts.queues is None:
        return UNKNOWN
    if shrinking.step.value:
        return ACTIVE if shrinking.step.reason in LEFT_TO_THE_CLUSTER else STEP
    cluster = look.facts.cluster
    if cluster is not None and (cluster.outdated or cluster.rolling):
        return ACTIVE  # that it has changed may be seen in the same look as that it has to
    queues, replicas = look.facts.queues.values(), (cluster and cluster.replicas) or 0
    if any(queue.demand for queue in queues) or replicas != look.desired.value:
        return ACTIVE
    if any(not member.worker.ready for member in look.members):
        return ACTIVE
    # A job that falls due wakes nobody, as long as no worker is there to promote it.
    due = [queue.due_in for queue in queues if queue.due_in is not None]
    waits = look.desired.reason in ("IdleWait", "Stabilized", "ScaleDownLimit")
    return max(SOON, min(ACTIVE if waits else REST, *due, REST))
