"""The conditions of a pool. Each condition is decided by the first of its rules that returns a decision."""

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
from jobpools.core.pools.workers import Worker, paused_heartbeats
from jobpools.core.text.plurals import count_of

NAMED_WORKERS = 3
"""Maximum number of paused workers that a message names."""

ConditionDecision = Decision[bool | None]
"""A condition's status (None: Unknown), reason and message."""


@dataclass(frozen=True, slots=True)
class PassResult:
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
    def replicas(self) -> int:
        """Number of workers that the pool is scaled to; 0 when the cluster is unknown."""
        return (self.facts.cluster.replicas or 0) if self.facts.cluster else 0


Rule = Callable[[PassResult], ConditionDecision | None]


def decide_conditions(result: PassResult) -> dict[str, ConditionDecision]:
    """Decide the pool's conditions; return them by type."""
    return {
        ConditionType.READY: _by_first_rule(
            result,
            _invalid_schedule,
            _cluster_unknown,
            _cannot_run_workers,
            _queues_unknown,
            _not_ready_paused,
            _all_queues_paused,
            _all_workers_paused,
            _processing,
        ),
        ConditionType.PROGRESSING: _by_first_rule(result, _cluster_unknown, _changing, _resizing, _settled),
        ConditionType.SCALING_ACTIVE: _scaling_active(result),
        ConditionType.SCALING_LIMITED: _scaling_limited(result),
        ConditionType.PAUSED: _paused(result),
        ConditionType.DEGRADED: _by_first_rule(
            result, _redis_warning, _workers_have_problem, _cluster_unknown, _queues_unknown, _no_problem
        ),
        ConditionType.ALERTING: _alerting(result),
    }


def _by_first_rule(result: PassResult, *rules: Rule) -> ConditionDecision:
    """Return the decision of the first rule that makes one; the last rule always does."""
    return next(decision for decision in (rule(result) for rule in rules) if decision is not None)


def _invalid_schedule(result: PassResult) -> ConditionDecision | None:
    invalid = invalid_schedule(result.pool.spec)
    return Decision(False, Reason.INVALID_SCHEDULE, invalid) if invalid else None


def _cluster_unknown(result: PassResult) -> ConditionDecision | None:
    if result.facts.cluster is not None:
        return None
    return Decision(None, Reason.CLUSTER_UNKNOWN, result.sizing.desired.message)


def _queues_unknown(result: PassResult) -> ConditionDecision | None:
    if result.facts.queues is not None and result.facts.heartbeats is not None:
        return None
    return Decision(None, Reason.QUEUES_UNKNOWN, result.sizing.desired.message)


def _cannot_run_workers(result: PassResult) -> ConditionDecision | None:
    problem = _first_problem(result.facts.cluster)
    return None if problem is None else Decision(False, problem.reason, problem.message)


def _workers_have_problem(result: PassResult) -> ConditionDecision | None:
    problem = _first_problem(result.facts.cluster)
    return None if problem is None else Decision(True, problem.reason, problem.message)


def _first_problem(cluster: ClusterFacts | None) -> Problem | None:
    """Return what keeps the workers from running: the cluster's own problem, or else that of the first worker."""
    if cluster is None:
        return None
    if cluster.problem is not None:
        return cluster.problem
    for worker in cluster.workers:
        if worker.problem is not None and not worker.terminating:
            details = f": {worker.problem.message}" if worker.problem.message else ""
            return Problem(worker.problem.reason, f"{worker.name}{details}")
    return None


def _not_ready_paused(result: PassResult) -> ConditionDecision | None:
    if not result.pool.spec.paused:
        return None
    return Decision(False, Reason.PAUSED, result.sizing.desired.message + _jobs_wait(result.facts.waiting))


def _all_queues_paused(result: PassResult) -> ConditionDecision | None:
    queues = (result.facts.queues or {}).values()
    if not queues or not all(queue.pause for queue in queues):
        return None
    return Decision(False, Reason.QUEUE_PAUSED, _describe_pauses(result) + _jobs_wait(result.facts.waiting))


def _describe_pauses(result: PassResult) -> str:
    """Return the paused queues, with who paused each and why; empty: none is paused."""
    queues = (result.facts.queues or {}).items()
    return "; ".join(f"queue {name}: {queue.pause}" for name, queue in queues if queue.pause)


def _all_workers_paused(result: PassResult) -> ConditionDecision | None:
    ready = [worker for worker in result.workers if worker.is_ready]
    paused = [each.heartbeat for each in ready if each.heartbeat is not None and paused_heartbeats([each.heartbeat])]
    if not ready or len(paused) < len(ready):
        return None
    return Decision(False, Reason.WORKERS_PAUSED, _describe_paused(result) + _jobs_wait(result.facts.waiting))


def _describe_paused(result: PassResult) -> str:
    """Return how many workers are paused, by whom and why; empty: none is."""
    heartbeats = result.facts.heartbeats or ()
    paused = paused_heartbeats(heartbeats)
    if not paused:
        return ""
    named = [f"{each.host} {each.command or 'by an unknown user'}" for each in paused[:NAMED_WORKERS]]
    more = [f"{len(paused) - NAMED_WORKERS} more"] if len(paused) > NAMED_WORKERS else []
    verb = "is" if len(paused) == 1 else "are"
    return f"{len(paused)} of {count_of(len(heartbeats), 'worker')} {verb} paused: {'; '.join(named + more)}"


def _processing(result: PassResult) -> ConditionDecision:
    desired = result.sizing.desired
    wanted, ready = desired.value or 0, result.ready
    if wanted == 0:
        if result.facts.claimable:
            return Decision(False, Reason.ZERO_REPLICAS, desired.message + _jobs_wait(result.facts.waiting))
        return Decision(True, Reason.SCALED_TO_ZERO, f"no worker is needed: {desired.message}")
    if ready < wanted:
        reason = Reason.SCALING_UP if ready else Reason.WORKERS_STARTING
        return Decision(bool(ready), reason, f"{ready} of {wanted} workers are ready: {desired.message}")
    return Decision(True, Reason.WORKING if result.facts.demand else Reason.IDLE, desired.message)


def _jobs_wait(jobs: int) -> str:
    return f", and {count_of(jobs, 'job waits', 'jobs wait')}" if jobs else ""


def _changing(result: PassResult) -> ConditionDecision | None:
    cluster = result.facts.cluster
    if cluster is not None and cluster.outdated:
        return Decision(True, Reason.UPDATING, "the pool is being changed to match its spec")
    if cluster is not None and cluster.rolling:
        return Decision(True, Reason.ROLLING_OUT, "workers of an older spec are being replaced")
    return None


def _resizing(result: PassResult) -> ConditionDecision | None:
    current, wanted, step = result.replicas, result.sizing.desired.value, result.scale_down
    if wanted is not None and wanted > current:
        return Decision(True, Reason.SCALING_UP, f"from {current} to {wanted}")
    if wanted is not None and wanted < current:
        return Decision(True, Reason.SCALING_DOWN, f"from {current} to {wanted}: {step.message}")
    return None if step.progress is Progress.NONE else Decision(True, Reason.SCALING_DOWN, step.message)


def _settled(result: PassResult) -> ConditionDecision:
    replicas, ready = result.replicas, result.ready
    if ready < replicas:
        return Decision(True, Reason.WORKERS_STARTING, f"{ready} of {replicas} workers are ready")
    message = f"all {replicas} workers are ready" if replicas else "the pool is scaled to 0 workers"
    return Decision(False, Reason.SETTLED, message)


def _scaling_active(result: PassResult) -> ConditionDecision:
    desired, spec = result.sizing.desired, result.pool.spec
    is_held = desired.value is None or spec.paused or spec.scaling.mode is ScalingMode.MANUAL
    return Decision(not is_held, desired.reason, desired.message)


def _scaling_limited(result: PassResult) -> ConditionDecision:
    desired = result.sizing.desired
    if desired.value is None:
        return Decision(None, desired.reason, desired.message)
    if result.sizing.is_limited:
        return Decision(True, desired.reason, desired.message)
    return Decision(False, Reason.WITHIN_LIMITS, "no limit changes the number of workers that the queues ask for")


def _paused(result: PassResult) -> ConditionDecision:
    if result.pool.spec.paused:
        message = "spec.paused is true: workers claim no jobs, and the number of workers is held"
        return Decision(True, Reason.PAUSED, message)
    pauses, paused_workers = _describe_pauses(result), _describe_paused(result)
    if pauses or paused_workers:
        reason = Reason.QUEUE_PAUSED if pauses else Reason.WORKERS_PAUSED
        return Decision(True, reason, "; ".join(filter(None, (pauses, paused_workers))))
    return Decision(False, Reason.NOT_PAUSED, "spec.paused is false")


def _redis_warning(result: PassResult) -> ConditionDecision | None:
    warnings = result.facts.warnings
    return Decision(True, Reason.REDIS_WARNING, "; ".join(warnings)) if warnings else None


def _no_problem(_: PassResult) -> ConditionDecision:
    return Decision(False, Reason.ALL_WELL, "no problem is known")


def _alerting(result: PassResult) -> ConditionDecision:
    if result.facts.queues is None:
        return Decision(None, Reason.QUEUES_UNKNOWN, result.sizing.desired.message)
    if not result.alerts:
        return Decision(False, Reason.NO_ALERT, "all figures are within spec.alerts")
    return Decision(True, result.alerts[0].reason, "; ".join(map(str, result.alerts)))
