"""Condition types of a WorkerPool, and every reason that jobpools gives in its conditions and events.

`make generate` writes docs/conditions.md from the docstrings below.
"""

from enum import StrEnum
from typing import Self


class ConditionType(StrEnum):
    """One question about a pool that its status answers with True, False or Unknown."""

    READY = "Ready"
    """True: jobs are processed as they arrive, or no job waits. `kubectl get jobpools` shows its reason."""
    PROGRESSING = "Progressing"
    """True: the number of workers or their spec is changing right now."""
    SCALING_ACTIVE = "ScalingActive"
    """True: jobpools sets the number of workers. Its reason names the rule that determined the number."""
    SCALING_LIMITED = "ScalingLimited"
    """True: the queues ask for another number of workers than `spec.scaling` allows."""
    PAUSED = "Paused"
    """True: `spec.paused` is set, or a queue or a worker of the pool is paused."""
    DEGRADED = "Degraded"
    """True: something is wrong although jobs may still be processed."""
    ALERTING = "Alerting"
    """True: at least one figure is above its limit in `spec.alerts`. The message lists all of them."""


ON_READY, ON_PROGRESSING, ON_ACTIVE, ON_LIMITED, ON_PAUSED, ON_DEGRADED, ON_ALERTING = ConditionType
"""Short names for the table below."""


class Reason(StrEnum):
    """One stable CamelCase word that users may match on; `conditions` lists where it occurs (none: in events only).

    Kubernetes' own reasons, such as `ImagePullBackOff` or `FailedCreate`, are passed on as they are and not listed.
    """

    conditions: tuple[ConditionType, ...]

    def __new__(cls, value: str, *conditions: ConditionType) -> Self:
        """Create a reason from its word and the types of the conditions in which it occurs."""
        reason = str.__new__(cls, value)
        reason._value_, reason.conditions = value, conditions
        return reason

    # How jobs are processed
    WORKING = "Working", ON_READY
    """Enough workers are ready, and jobs are queued or running."""
    IDLE = "Idle", ON_READY, ON_ACTIVE
    """No job is queued, due or running."""
    SCALED_TO_ZERO = "ScaledToZero", ON_READY
    """No job waits, so the pool has no workers."""
    ZERO_REPLICAS = "ZeroReplicas", ON_READY
    """Jobs wait, and the number of workers is set to 0. Raise `spec.replicas`, or use `scaling.mode: Auto`."""
    WORKERS_STARTING = "WorkersStarting", ON_READY, ON_PROGRESSING
    """Fewer workers are ready than were asked for. As the reason of `Ready`: no worker is ready."""
    SCALING_UP = "ScalingUp", ON_READY, ON_PROGRESSING
    """Workers are being added."""

    # Changes under way
    SCALING_DOWN = "ScalingDown", ON_PROGRESSING
    """Idle workers are being removed. The message says what the removal waits for."""
    UPDATING = "Updating", ON_PROGRESSING
    """The Deployment does not match `spec` yet and is being written."""
    ROLLING_OUT = "RollingOut", ON_PROGRESSING
    """Workers of an older spec are being replaced."""
    SETTLED = "Settled", ON_PROGRESSING
    """All workers that were asked for are ready, and nothing is changing."""

    # Rules that determine the number of workers
    DEMAND = "Demand", ON_ACTIVE
    """Queued, due and running jobs, divided by `scaling.jobsPerWorker`."""
    TARGET_WAIT = "TargetWait", ON_ACTIVE
    """One worker more than the demand asks for: the oldest job has waited longer than `scaling.targetWait`."""
    STABILIZED = "Stabilized", ON_ACTIVE
    """The number is held because the demand has not lasted for `scaling.behavior.*.stabilization`."""
    IDLE_WAIT = "IdleWait", ON_ACTIVE
    """The queues are empty, and `scaling.idle` has not passed."""
    SCHEDULE = "Schedule", ON_ACTIVE
    """An entry of `scaling.schedules` is active and raises the minimum."""
    BUSY_WORKERS = "BusyWorkers", ON_ACTIVE
    """The number is held because busy workers are never removed."""
    SCALE_UP_LIMIT = "ScaleUpLimit", ON_ACTIVE, ON_LIMITED
    """`scaling.behavior.scaleUp.policies` do not allow more workers yet."""
    SCALE_DOWN_LIMIT = "ScaleDownLimit", ON_ACTIVE, ON_LIMITED
    """`scaling.behavior.scaleDown.policies` do not allow fewer workers yet."""
    TOO_FEW_REPLICAS = "TooFewReplicas", ON_ACTIVE, ON_LIMITED
    """The queues ask for fewer workers than `scaling.min`."""
    TOO_MANY_REPLICAS = "TooManyReplicas", ON_ACTIVE, ON_LIMITED
    """The queues ask for more workers than `scaling.max`. Raise it if jobs wait too long."""
    WITHIN_LIMITS = "WithinLimits", ON_LIMITED
    """No limit changes the number that the queues ask for."""
    MANUAL = "Manual", ON_ACTIVE
    """`scaling.mode` is `Manual`: `spec.replicas` sets the number."""

    # Pause
    QUEUE_PAUSED = "QueuePaused", ON_READY, ON_PAUSED
    """A queue of the pool is paused: no worker claims its jobs, and they ask for no workers. `Ready` says so only if
    all queues are paused. `jobpools queues resume` ends the pause."""
    WORKERS_PAUSED = "WorkersPaused", ON_READY, ON_PAUSED
    """Workers of the pool are paused: they claim no jobs. The message says who paused them and why. `Ready` says so
    only if all ready workers are paused. `jobpools workers resume` ends the pause."""
    PAUSED = "Paused", ON_READY, ON_ACTIVE, ON_PAUSED
    """`spec.paused` is true: workers claim no jobs, and the number of workers is held."""
    NOT_PAUSED = "NotPaused", ON_PAUSED
    """`spec.paused` is false."""

    # Something is wrong
    CLUSTER_UNKNOWN = "ClusterUnknown", ON_READY, ON_PROGRESSING, ON_ACTIVE, ON_LIMITED, ON_DEGRADED
    """The workers cannot be observed, so their number is held. The message names the cause."""
    QUEUES_UNKNOWN = "QueuesUnknown", ON_READY, ON_ACTIVE, ON_LIMITED, ON_DEGRADED, ON_ALERTING
    """Redis cannot be read, so the number of workers is held. The message names the cause."""
    CLUSTER_PROBLEM = "ClusterProblem", ON_READY, ON_DEGRADED
    """Something in the namespace keeps the pool's workers from running. The message says what to change."""
    WORKER_DIED = "WorkerDied", ON_READY, ON_DEGRADED
    """A worker process ended by itself, and another one takes its place. Only with `jobpools up`."""
    WORKER_NOT_STARTING = "WorkerNotStarting", ON_READY, ON_DEGRADED
    """A worker process ended before it was ready. It is started again with growing delays. Only with `jobpools up`."""
    INVALID_SCHEDULE = "InvalidSchedule", ON_READY
    """An entry of `scaling.schedules` has an invalid `cron` or `timeZone`. It is ignored until it is corrected."""
    ACTION_FAILED = "ActionFailed", ON_READY, ON_DEGRADED
    """The last change could not be made, and is tried again. As the reason of `Ready`: the pool's Deployment does not
    exist."""
    REDIS_WARNING = "RedisWarning", ON_DEGRADED
    """Redis is configured so that jobs can be lost. The message names the setting to change."""
    ALL_WELL = "AllWell", ON_DEGRADED
    """No problem is known."""

    # Alerts
    QUEUE_DEPTH = "QueueDepth", ON_ALERTING
    """More jobs are queued than `alerts.queueDepth`."""
    FAILURE_RATE = "FailureRate", ON_ALERTING
    """A larger share of the attempts of the last 5 minutes failed than `alerts.failureRate`."""
    LATENCY = "Latency", ON_ALERTING
    """The oldest queued job has waited longer than `alerts.latency`."""
    WORKER_CRASHES = "WorkerCrashes", ON_ALERTING
    """More attempts ended with the death of their worker in the last 5 minutes than `alerts.workerCrashes`."""
    DEAD_LETTERS = "DeadLetters", ON_ALERTING
    """The pool's queues hold more dead letters than `alerts.deadLetters`. `jobpools dead list` shows why the jobs
    died."""
    NO_ALERT = "NoAlert", ON_ALERTING
    """All figures are within `spec.alerts`."""

    # Events
    SCALED_UP = ("ScaledUp",)
    """The number of workers was raised."""
    SCALED_DOWN = ("ScaledDown",)
    """The number of workers was lowered."""
    MISDELETED = ("Misdeleted",)
    """The cluster removed other workers than the idle ones that were chosen."""
    READY_AGAIN = ("ReadyAgain",)
    """`Ready` is no longer False."""
    DEGRADED_OVER = ("DegradedOver",)
    """`Degraded` is no longer True."""
    ALERTING_OVER = ("AlertingOver",)
    """`Alerting` is no longer True."""
