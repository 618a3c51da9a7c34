"""A pool's status, true or silent: a figure that is not known is left out, and a condition says Unknown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jobpools.core.conditions import condition, conditions, timestamp
from jobpools.core.decision import Decision
from jobpools.core.events import Event
from jobpools.core.pools.alerts import Rates
from jobpools.core.pools.facts import ClusterFacts, Memory, PoolFacts, Problem
from jobpools.core.pools.sizing import LIMITS, wrong_schedule
from jobpools.core.pools.specs import Pool, ScalingMode
from jobpools.core.pools.workers import Member, is_busy

Judged = Decision[bool | None]
"""A condition's status (None: Unknown), reason and message."""

EXAMPLES: Final = 10
"""How many workers a status shows."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """All that a pass found out and decided about one pool."""

    pool: Pool
    facts: PoolFacts
    members: tuple[Member, ...]
    desired: Decision[int | None]
    shrinking: Decision[bool]
    rates: Rates
    alerts: tuple[Decision[bool], ...]
    memory: Memory
    before: Mapping[str, Any] | None
    """The status of the last pass, or as it was found at the start."""
    now: float


def status(verdict: Verdict) -> dict[str, Any]:
    """In the form of the CRD; None never stands in it."""
    figures = {
        "observedGeneration": verdict.pool.meta.generation,
        "selector": ",".join(f"{name}={value}" for name, value in sorted(verdict.pool.labels.items())),
        **_cluster_figures(verdict),
        **_queue_figures(verdict),
        "conditions": conditions(_judge(verdict), verdict.before, verdict.pool.meta.generation, verdict.now),
    }
    return {name: value for name, value in figures.items() if value is not None}


def _cluster_figures(verdict: Verdict) -> dict[str, Any]:
    if verdict.facts.cluster is None:
        return {}
    return {
        "replicas": verdict.facts.cluster.replicas or 0,
        "readyReplicas": sum(member.worker.ready for member in verdict.members),
        "workers": [_example(member) for member in sorted(verdict.members, key=lambda each: each.name)[:EXAMPLES]],
    }


def _example(member: Member) -> dict[str, Any]:
    worker, heartbeat = member.worker, member.heartbeat
    shown: dict[str, Any] = {"name": worker.name, "ready": worker.ready}
    if heartbeat is not None:
        shown |= {"busy": heartbeat.busy, "slots": heartbeat.slots}
        if heartbeat.draining:
            shown["draining"] = True
        if not is_busy(heartbeat) and heartbeat.idle_since is not None:
            shown["idleSince"] = timestamp(heartbeat.idle_since)
    if worker.problem:
        shown["problem"] = str(worker.problem)
    return shown


def _queue_figures(verdict: Verdict) -> dict[str, Any]:
    facts = verdict.facts
    figures: dict[str, Any] = {}
    if facts.heartbeats is not None:
        figures["busy"] = sum(each.busy for each in facts.heartbeats)
    if facts.queues is None:
        return figures
    queues = facts.queues.values()
    in_flight = sum(queue.in_flight for queue in queues)
    if "busy" in figures:
        figures["busy"] = min(figures["busy"], in_flight)  # a worker's word is older than the leases
    oldest = max((queue.oldest_seconds for queue in queues if queue.oldest_seconds is not None), default=None)
    return figures | {
        "queued": _waiting(verdict),
        "inFlight": in_flight,
        "scheduled": sum(queue.scheduled for queue in queues),
        "dead": sum(queue.dead for queue in queues),
        "oldestSeconds": None if oldest is None else int(oldest),
        "completedPerMinute": verdict.rates.completed_per_minute,
        "failureRate": verdict.rates.failure_rate,
    }


def _judge(verdict: Verdict) -> dict[str, Judged]:
    return {
        "Ready": _ready(verdict),
        "Progressing": _progressing(verdict),
        "ScalingActive": _scaling_active(verdict),
        "ScalingLimited": _scaling_limited(verdict),
        "Paused": _paused(verdict),
        "Degraded": _degraded(verdict),
        "Alerting": _alerting(verdict),
    }


def _ready(verdict: Verdict) -> Judged:
    """Jobs that come are worked on: enough workers are ready, or none is needed. Its reason is what kubectl shows."""
    return _first(verdict, _misspelt, _cluster_unknown, _blocked, _queues_unknown, _held, _served)


def _first(verdict: Verdict, *rules: Callable[[Verdict], Judged | None]) -> Judged:
    """What the first rule says that has something to say; the last one always has."""
    return next(said for said in (rule(verdict) for rule in rules) if said is not None)


def _misspelt(verdict: Verdict) -> Judged | None:
    wrong = wrong_schedule(verdict.pool.spec)
    return Decision(False, "InvalidSchedule", wrong) if wrong else None


def _cluster_unknown(verdict: Verdict) -> Judged | None:
    return Decision(None, "ClusterUnknown", verdict.desired.message) if verdict.facts.cluster is None else None


def _blocked(verdict: Verdict) -> Judged | None:
    problem = _problem(verdict.facts.cluster)
    return Decision(False, problem.reason, problem.message) if problem else None


def _queues_unknown(verdict: Verdict) -> Judged | None:
    known = verdict.facts.queues is not None and verdict.facts.heartbeats is not None
    return None if known else Decision(None, "QueuesUnknown", verdict.desired.message)


def _held(verdict: Verdict) -> Judged | None:
    if not verdict.pool.spec.paused:
        return None
    return Decision(False, "Paused", verdict.desired.message + _and_wait(_waiting(verdict)))


def _served(verdict: Verdict) -> Judged:
    wanted, ready, why = verdict.desired.value or 0, _ready_count(verdict), verdict.desired.message
    if wanted == 0:
        if waiting := _waiting(verdict):
            return Decision(False, "ZeroReplicas", why + _and_wait(waiting))
        return Decision(True, "ScaledToZero", f"no worker is needed: {why}")
    if ready < wanted:
        reason = "ScalingUp" if ready else "WorkersStarting"
        return Decision(bool(ready), reason, f"{ready} of {wanted} workers are ready: {why}")
    idle = not any(queue.demand for queue in (verdict.facts.queues or {}).values())
    return Decision(True, "Idle" if idle else "Working", why)


def _waiting(verdict: Verdict) -> int:
    """Queued and due jobs."""
    return sum(queue.queued + queue.due for queue in (verdict.facts.queues or {}).values())


def _and_wait(jobs: int) -> str:
    return (", and 1 job waits" if jobs == 1 else f", and {jobs} jobs wait") if jobs else ""


def _ready_count(verdict: Verdict) -> int:
    return sum(member.worker.ready for member in verdict.members)


def _problem(cluster: ClusterFacts | None) -> Problem | None:
    """Return what keeps the workers from running: the cluster's own problem, else that of the first worker."""
    if cluster is None:
        return None
    if cluster.problem is not None:
        return cluster.problem
    for worker in cluster.workers:
        if worker.problem is not None and not worker.terminating:
            details = f": {worker.problem.message}" if worker.problem.message else ""
            return Problem(worker.problem.reason, f"{worker.name}{details}")
    return None


def _progressing(verdict: Verdict) -> Judged:
    return _first(verdict, _cluster_unknown, _changing, _resizing, _settled)


def _changing(verdict: Verdict) -> Judged | None:
    cluster = verdict.facts.cluster
    if cluster is not None and cluster.outdated:
        return Decision(True, "Updating", "the pool is being made to follow its spec")
    if cluster is not None and cluster.rolling:
        return Decision(True, "RollingOut", "workers of an older spec are being replaced")
    return None


def _resizing(verdict: Verdict) -> Judged | None:
    current, wanted = _asked(verdict), verdict.desired.value
    if wanted is not None and wanted > current:
        return Decision(True, "ScalingUp", f"from {current} to {wanted}")
    if wanted is not None and wanted < current:
        return Decision(True, "ScalingDown", f"from {current} to {wanted}: {verdict.shrinking.message}")
    return Decision(True, "ScalingDown", verdict.shrinking.message) if verdict.shrinking.value else None


def _settled(verdict: Verdict) -> Judged:
    current, ready = _asked(verdict), _ready_count(verdict)
    if ready < current:
        return Decision(True, "WorkersStarting", f"{ready} of {current} workers are ready")
    return Decision(False, "Settled", f"{current} workers are asked for, and there")


def _asked(verdict: Verdict) -> int:
    return (verdict.facts.cluster.replicas or 0) if verdict.facts.cluster else 0


def _scaling_active(verdict: Verdict) -> Judged:
    desired, spec = verdict.desired, verdict.pool.spec
    off = desired.value is None or spec.paused or spec.scaling.mode is ScalingMode.MANUAL
    return Decision(not off, desired.reason, desired.message)


def _scaling_limited(verdict: Verdict) -> Judged:
    desired = verdict.desired
    if desired.value is None:
        return Decision(None, desired.reason, desired.message)
    if desired.reason in LIMITS:
        return Decision(True, desired.reason, desired.message)
    return Decision(False, "WithinLimits", "nothing cuts what the queues ask for")


def _paused(verdict: Verdict) -> Judged:
    if verdict.pool.spec.paused:
        return Decision(True, "Paused", "spec.paused is true: no job is claimed, and the number of workers is held")
    return Decision(False, "NotPaused", "spec.paused is false")


def _degraded(verdict: Verdict) -> Judged:
    """It works, or seems to, and somebody should look."""
    return _first(verdict, _warned, _blocked_too, _cluster_unknown, _queues_unknown, _well)


def _warned(verdict: Verdict) -> Judged | None:
    warnings = verdict.facts.warnings
    return Decision(True, "RedisWarning", "; ".join(warnings)) if warnings else None


def _blocked_too(verdict: Verdict) -> Judged | None:
    problem = _problem(verdict.facts.cluster)
    return Decision(True, problem.reason, problem.message) if problem else None


def _well(_: Verdict) -> Judged:
    return Decision(False, "AllWell", "nothing is wrong that could be seen")


def _alerting(verdict: Verdict) -> Judged:
    if verdict.facts.queues is None:
        return Decision(None, "QueuesUnknown", verdict.desired.message)
    if not verdict.alerts:
        return Decision(False, "NoAlert", "all figures are within spec.alerts")
    return Decision(
        True, verdict.alerts[0].reason, "; ".join(f"{each.reason}: {each.message}" for each in verdict.alerts)
    )


def alerts_before(before: Mapping[str, Any] | None) -> frozenset[str]:
    """The reasons of the alerts that the last status told."""
    old = condition(before, "Alerting")
    if old.get("status") != "True":
        return frozenset()
    return frozenset(part.partition(":")[0].strip() for part in str(old.get("message", "")).split(";"))


TOLD: Final = {"Ready": "False", "Degraded": "True", "Alerting": "True"}
"""Conditions whose turn to the bad is told as a warning, and back as good news."""
QUIET: Final = frozenset({"WorkersStarting", "Paused", "Updating"})
"""Reasons of not being ready that are no news."""


def events(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> tuple[Event, ...]:
    """What turned between two statuses, each said once."""
    told: list[Event] = []
    for kind, bad in TOLD.items():
        old, new = condition(before, kind), condition(after, kind)
        was = old.get("status") == bad and old.get("reason") not in QUIET
        is_bad = new["status"] == bad and new["reason"] not in QUIET
        if is_bad and (not was or old.get("reason") != new["reason"]):
            told.append(Event(new["reason"], new["message"], warning=True))
        elif was and not is_bad and new["status"] != "Unknown":
            told.append(Event(f"{kind}Again" if kind == "Ready" else f"{kind}Over", f"no longer {old.get('reason')}"))
    return tuple(told)


def steps(count: float) -> int:
    """The largest of 0, 1, 2, 5, 10, 20, 50… that is not above `count`: what is worth a write to a status."""
    power = 1
    while power * 10 <= count:
        power *= 10
    return next((step * power for step in (5, 2, 1) if step * power <= count), 0)


def coarse(known: Mapping[str, Any]) -> dict[str, Any]:
    """The status with its figures in steps: if two coarse ones are equal, the second is not worth a write."""
    rough = dict(known)
    for name in ("queued", "inFlight", "scheduled", "dead", "oldestSeconds", "completedPerMinute"):
        if name in rough:
            rough[name] = steps(rough[name])
    rough["workers"] = [(each["name"], each["ready"], each.get("problem")) for each in known.get("workers", ())]
    rough["conditions"] = [(each["type"], each["status"], each["reason"]) for each in known.get("conditions", ())]
    return rough
