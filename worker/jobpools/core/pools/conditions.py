"""The conditions of a pool: each is the answer of the first of its rules that has one."""

from collections.abc import Callable
from dataclasses import dataclass

from jobpools.core.decision import Decision
from jobpools.core.pools.alerts import Alert
from jobpools.core.pools.facts import ClusterFacts, PoolFacts, Problem
from jobpools.core.pools.rates import Rates
from jobpools.core.pools.reasons import ConditionType, Reason
from jobpools.core.pools.scale_down import Progress, ScaleDown
from jobpools.core.pools.scheduled_minimums import invalid_schedule
from jobpools.core.pools.sizing import Sizing
from jobpools.core.pools.specs import Pool, ScalingMode
from jobpools.core.pools.workers import Worker
from jobpools.core.text.plurals import count_of

Judgement = Decision[bool | None]
"""A condition's status (None: Unknown), reason and message."""


@dataclass(frozen=True, slots=True)
class StatusInput:
    """Everything that one pass observed and decided about a pool."""

    pool: Pool
    facts: PoolFacts
    workers: tuple[Worker, ...]
    sizing: Sizing
    scale_down: ScaleDown
    rates: Rates
    alerts: tuple[Alert, ...]

    @property
    def ready(self) -> int:
        """Number of ready workers."""
        return sum(worker.is_ready for worker in self.workers)

    @property
    def asked_for(self) -> int:
        """Number of workers asked for now; 0 when the cluster is unknown."""
        return (self.facts.cluster.replicas or 0) if self.facts.cluster else 0


Rule = Callable[[StatusInput], Judgement | None]


def judge(found: StatusInput) -> dict[str, Judgement]:
    """Return the pool's conditions by type."""
    return {
        ConditionType.READY: _first(
            found, _invalid_schedule, _cluster_unknown, _cannot_run, _queues_unknown, _not_ready_paused, _processing
        ),
        ConditionType.PROGRESSING: _first(found, _cluster_unknown, _changing, _resizing, _settled),
        ConditionType.SCALING_ACTIVE: _scaling_active(found),
        ConditionType.SCALING_LIMITED: _scaling_limited(found),
        ConditionType.PAUSED: _paused(found),
        ConditionType.DEGRADED: _first(
            found, _redis_warning, _has_problem, _cluster_unknown, _queues_unknown, _no_problem
        ),
        ConditionType.ALERTING: _alerting(found),
    }


def _first(found: StatusInput, *rules: Rule) -> Judgement:
    """Return the answer of the first rule that has one; the last rule always has."""
    return next(answer for answer in (rule(found) for rule in rules) if answer is not None)


def _invalid_schedule(found: StatusInput) -> Judgement | None:
    invalid = invalid_schedule(found.pool.spec)
    return Decision(False, Reason.INVALID_SCHEDULE, invalid) if invalid else None


def _cluster_unknown(found: StatusInput) -> Judgement | None:
    if found.facts.cluster is not None:
        return None
    return Decision(None, Reason.CLUSTER_UNKNOWN, found.sizing.desired.message)


def _queues_unknown(found: StatusInput) -> Judgement | None:
    if found.facts.queues is not None and found.facts.heartbeats is not None:
        return None
    return Decision(None, Reason.QUEUES_UNKNOWN, found.sizing.desired.message)


def _cannot_run(found: StatusInput) -> Judgement | None:
    problem = _first_problem(found.facts.cluster)
    return None if problem is None else Decision(False, problem.reason, problem.message)


def _has_problem(found: StatusInput) -> Judgement | None:
    problem = _first_problem(found.facts.cluster)
    return None if problem is None else Decision(True, problem.reason, problem.message)


def _first_problem(cluster: ClusterFacts | None) -> Problem | None:
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


def _not_ready_paused(found: StatusInput) -> Judgement | None:
    if not found.pool.spec.paused:
        return None
    return Decision(False, Reason.PAUSED, found.sizing.desired.message + _jobs_wait(found.facts.waiting))


def _processing(found: StatusInput) -> Judgement:
    desired = found.sizing.desired
    wanted, ready = desired.value or 0, found.ready
    if wanted == 0:
        if found.facts.waiting:
            return Decision(False, Reason.ZERO_REPLICAS, desired.message + _jobs_wait(found.facts.waiting))
        return Decision(True, Reason.SCALED_TO_ZERO, f"no worker is needed: {desired.message}")
    if ready < wanted:
        reason = Reason.SCALING_UP if ready else Reason.WORKERS_STARTING
        return Decision(bool(ready), reason, f"{ready} of {wanted} workers are ready: {desired.message}")
    return Decision(True, Reason.WORKING if found.facts.demand else Reason.IDLE, desired.message)


def _jobs_wait(jobs: int) -> str:
    return f", and {count_of(jobs, 'job waits', 'jobs wait')}" if jobs else ""


def _changing(found: StatusInput) -> Judgement | None:
    cluster = found.facts.cluster
    if cluster is not None and cluster.outdated:
        return Decision(True, Reason.UPDATING, "the pool is being changed to match its spec")
    if cluster is not None and cluster.rolling:
        return Decision(True, Reason.ROLLING_OUT, "workers of an older spec are being replaced")
    return None


def _resizing(found: StatusInput) -> Judgement | None:
    current, wanted, step = found.asked_for, found.sizing.desired.value, found.scale_down
    if wanted is not None and wanted > current:
        return Decision(True, Reason.SCALING_UP, f"from {current} to {wanted}")
    if wanted is not None and wanted < current:
        return Decision(True, Reason.SCALING_DOWN, f"from {current} to {wanted}: {step.message}")
    return None if step.progress is Progress.NONE else Decision(True, Reason.SCALING_DOWN, step.message)


def _settled(found: StatusInput) -> Judgement:
    current, ready = found.asked_for, found.ready
    if ready < current:
        return Decision(True, Reason.WORKERS_STARTING, f"{ready} of {current} workers are ready")
    return Decision(False, Reason.SETTLED, f"all {current} workers are ready" if current else "no worker is asked for")


def _scaling_active(found: StatusInput) -> Judgement:
    desired, spec = found.sizing.desired, found.pool.spec
    is_off = desired.value is None or spec.paused or spec.scaling.mode is ScalingMode.MANUAL
    return Decision(not is_off, desired.reason, desired.message)


def _scaling_limited(found: StatusInput) -> Judgement:
    desired = found.sizing.desired
    if desired.value is None:
        return Decision(None, desired.reason, desired.message)
    if found.sizing.is_limited:
        return Decision(True, desired.reason, desired.message)
    return Decision(False, Reason.WITHIN_LIMITS, "no limit changes the number of workers that the queues ask for")


def _paused(found: StatusInput) -> Judgement:
    if found.pool.spec.paused:
        message = "spec.paused is true: workers claim no jobs, and the number of workers is held"
        return Decision(True, Reason.PAUSED, message)
    return Decision(False, Reason.NOT_PAUSED, "spec.paused is false")


def _redis_warning(found: StatusInput) -> Judgement | None:
    warnings = found.facts.warnings
    return Decision(True, Reason.REDIS_WARNING, "; ".join(warnings)) if warnings else None


def _no_problem(_: StatusInput) -> Judgement:
    return Decision(False, Reason.ALL_WELL, "no problem is known")


def _alerting(found: StatusInput) -> Judgement:
    if found.facts.queues is None:
        return Decision(None, Reason.QUEUES_UNKNOWN, found.sizing.desired.message)
    if not found.alerts:
        return Decision(False, Reason.NO_ALERT, "all figures are within spec.alerts")
    return Decision(True, found.alerts[0].reason, "; ".join(map(str, found.alerts)))
