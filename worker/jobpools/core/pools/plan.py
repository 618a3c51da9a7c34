"""Decide what to do about one pool: facts in, a plan out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from jobpools.core.conditions import conditions
from jobpools.core.decision import Decision
from jobpools.core.events import Event
from jobpools.core.jobs.policies import Keep
from jobpools.core.pools.actions import (
    Action,
    EnsurePool,
    ForceDrainWorkers,
    MaintainQueues,
    ReleaseLeases,
    SetLimits,
    SetReplicas,
    WriteSettings,
)
from jobpools.core.pools.alerts import alerts_before, firing_alerts
from jobpools.core.pools.conditions import PassResult, decide_conditions
from jobpools.core.pools.facts import PoolFacts, QueueFacts
from jobpools.core.pools.memory import Memory
from jobpools.core.pools.rates import add_sample, measure_rates
from jobpools.core.pools.reasons import ConditionType, Reason
from jobpools.core.pools.removal import ScaleDownInput
from jobpools.core.pools.requeue import RETRY_INTERVAL, requeue_after
from jobpools.core.pools.scale_down import Progress, ScaleDown, scale_down
from jobpools.core.pools.sizing import size_pool
from jobpools.core.pools.specs import Pool
from jobpools.core.pools.status import PoolStatus, build_status
from jobpools.core.pools.status_events import condition_events
from jobpools.core.pools.worker_states import ReportedState
from jobpools.core.pools.workers import Worker, join_workers, unlisted_hosts


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that one pass decided about a pool.

    Actions are carried out in order. The first that fails ends the pass, except an EnsurePool of an existing pool.
    """

    actions: tuple[Action, ...]
    desired: Decision[int | None]
    """The number of workers the pool needs. None: unknown, and the current number is held."""
    status: PoolStatus
    events: tuple[Event, ...]
    memory: Memory
    requeue_after: float
    """Seconds until the next pass if nothing wakes the loop before."""
    misdeletions: int = 0
    """Chosen workers that survived a scale-down because the cluster removed others."""


@dataclass(frozen=True, slots=True)
class _Situation:
    """What was observed of a pool, and the number of workers that it needs."""

    pool: Pool
    facts: PoolFacts
    workers: tuple[Worker, ...]
    desired: Decision[int | None]
    now: float
    written_settings: str


def plan_pool(pool: Pool, facts: PoolFacts, memory: Memory, now: float, before: Mapping[str, Any] | None) -> Plan:
    """Decide what to do about one pool.

    Args:
        pool: The pool and its spec.
        facts: What was observed. None in it is unknown, and then the number of workers stays as it is.
        memory: What the last pass left; an empty one after a restart.
        now: Seconds since the epoch.
        before: The object's status as last written: it shows which conditions changed, and since when they hold.
    """
    sizing = size_pool(pool.spec, facts, memory, now)
    workers = join_workers(facts.cluster, facts.heartbeats or ()) if facts.cluster is not None else ()
    situation = _Situation(pool, facts, workers, sizing.desired, now, memory.settings)
    removal = _scale_down(situation, sizing.memory)
    samples = add_sample(memory.samples, facts, now)
    rates = measure_rates(samples, facts, now)
    known_alerts = alerts_before(memory, before)
    alerts = firing_alerts(pool.spec.alerts, facts, rates, known_alerts)
    result = PassResult(pool, facts, workers, sizing, removal, rates, alerts)
    status = build_status(result, tuple(conditions(decide_conditions(result), before, pool.meta.generation, now)))
    firing = known_alerts if facts.queues is None else frozenset(alert.reason for alert in alerts)
    return Plan(
        actions=(*_maintain(situation), *_scale_up(situation), *removal.actions, *_write_settings(situation)),
        desired=sizing.desired,
        status=status,
        events=(*_resize_events(situation, removal), *removal.events, *condition_events(before, status)),
        memory=replace(removal.memory, samples=samples, firing=firing),
        requeue_after=requeue_after(facts, workers, sizing, removal.progress),
        misdeletions=removal.misdeletions,
    )


def with_failed_action(
    plan: Plan, failure: str, before: Mapping[str, Any] | None, now: float, *, is_missing: bool = False
) -> Plan:
    """Return the plan to report when an action failed: the pool is Degraded, and the next pass is soon.

    Args:
        plan: The plan whose action failed.
        failure: The action and its error, in one line.
        before: The object's status as last written.
        now: Seconds since the epoch.
        is_missing: Whether the pool's Deployment does not exist, so that no job is processed: not Ready either.
    """
    failed: Decision[bool | None] = Decision(True, Reason.ACTION_FAILED, failure)
    changed = {ConditionType.READY: replace(failed, value=False)} if is_missing else {}
    changed[ConditionType.DEGRADED] = failed
    kept = [each for each in plan.status.conditions if each["type"] not in changed]
    failing = conditions(changed, before, plan.status.observed_generation, now)
    status = replace(plan.status, conditions=(*kept, *failing))
    events = tuple(event for event in condition_events(before, status) if event.reason == failed.reason)
    return replace(plan, status=status, events=events[:1], requeue_after=max(RETRY_INTERVAL, plan.requeue_after))


def _maintain(situation: _Situation) -> tuple[Action, ...]:
    """Return the actions that do not depend on the number of workers needed."""
    cluster, policy = situation.facts.cluster, situation.pool.spec.queue
    if cluster is None:
        return ()
    actions: list[Action] = [EnsurePool()] if cluster.outdated or _needs_new_workers(situation.facts) else []
    if situation.facts.queues is None:
        return tuple(actions)
    if unset := tuple(name for name, queue in situation.facts.queues.items() if not policy.matches(queue.limits)):
        actions.append(SetLimits(unset))
    existing = {worker.name for worker in cluster.workers}
    # An ended worker is in `gone` once. If the release fails or the operator stops here, its leases expire.
    if gone := tuple(sorted(set(cluster.gone) - existing)):
        actions.append(ReleaseLeases(gone))
    is_due = any(_needs_maintenance(queue, policy.keep) for queue in situation.facts.queues.values())
    if is_due and not any(worker.is_claiming for worker in situation.workers):
        actions.append(MaintainQueues())
    return tuple(actions)


def _needs_new_workers(facts: PoolFacts) -> bool:
    """Return whether the environment of workers has to change although running workers can follow other settings.

    It changes while there is no worker, which costs nothing, and if a worker of an older version reports no settings.
    """
    if facts.cluster is None or facts.cluster.has_current_settings or facts.heartbeats is None:
        return False
    return not facts.cluster.workers or any(each.settings is None for each in facts.heartbeats)


def _write_settings(situation: _Situation) -> tuple[Action, ...]:
    """Write the pool's settings if this process has not, or if a running worker does not follow them.

    It is the last action: a server without memory refuses it, and workers must be started nevertheless.
    """
    facts = situation.facts
    if not facts.settings or facts.cluster is None or facts.heartbeats is None:
        return ()
    running = [each for each in facts.heartbeats if each.state is not ReportedState.STARTING]
    is_followed = all(each.settings in (None, facts.settings) for each in running)
    if situation.written_settings == facts.settings and is_followed:
        return ()
    return (WriteSettings(facts.settings),)


def _needs_maintenance(queue: QueueFacts, keep: Keep) -> bool:
    """Return whether a queue has jobs that its workers would promote, rescue or trim."""
    surplus = queue.ended > keep.completed or queue.dead > keep.dead
    too_old = 0 < keep.dead_for <= (queue.oldest_dead or 0.0)
    return surplus or too_old or bool(queue.due or queue.in_flight or queue.expired)


def _scale_up(situation: _Situation) -> tuple[Action, ...]:
    cluster, wanted = situation.facts.cluster, situation.desired.value
    if cluster is None or wanted is None or wanted <= (cluster.replicas or 0):
        return ()
    return (SetReplicas(wanted),)


def _scale_down(situation: _Situation, memory: Memory) -> ScaleDown:
    cluster, wanted = situation.facts.cluster, situation.desired.value
    if cluster is None or wanted is None or situation.facts.queues is None or situation.facts.heartbeats is None:
        return ScaleDown((), memory, Progress.NONE, situation.desired.message)
    if situation.pool.spec.paused:
        # Each pass repeats it, because workers may have started since and locks expire.
        ids = tuple(worker.heartbeat.worker for worker in situation.workers if worker.heartbeat is not None)
        memory = replace(memory, locked=(), chosen=(), scaled_down_to=None)
        return ScaleDown(
            (ForceDrainWorkers(ids),) if ids else (), memory, Progress.NONE, "the number of workers is held"
        )
    return scale_down(
        ScaleDownInput(
            cluster=cluster,
            workers=situation.workers,
            surplus=(cluster.replicas or 0) - wanted,
            leases=situation.facts.in_flight,
            memory=memory,
            now=situation.now,
            unlisted=len(unlisted_hosts(cluster, situation.facts.heartbeats)),
        )
    )


def _resize_events(situation: _Situation, removal: ScaleDown) -> tuple[Event, ...]:
    for action in (*_scale_up(situation), *removal.actions):
        if isinstance(action, SetReplicas) and situation.facts.cluster is not None:
            current = situation.facts.cluster.replicas or 0
            reason = Reason.SCALED_UP if action.replicas > current else Reason.SCALED_DOWN
            return (Event(reason, f"from {current} to {action.replicas}: {situation.desired.message}"),)
    return ()
