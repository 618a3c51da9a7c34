"""The rules that determine a pool's number of workers in `scaling.mode: Auto`.

Each rule takes the number of the rule before and returns that number or another one, with its reason. The meanings of
`behavior` are those of the HorizontalPodAutoscaler, version 2.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from jobpools.core.pools.facts import QueueFacts
from jobpools.core.pools.reasons import Reason
from jobpools.core.pools.scaling_history import ScalingHistory, needs_within, replicas_at
from jobpools.core.pools.scheduled_minimums import active_minimums
from jobpools.core.pools.specs import PoolSpec, ScalingPolicy
from jobpools.core.text.durations import format_duration
from jobpools.core.text.plurals import count_of


@dataclass(frozen=True, slots=True)
class SizingInput:
    """One pool whose facts are all known: the input of the rules."""

    spec: PoolSpec
    queues: tuple[QueueFacts, ...]
    current: int
    """Number of workers asked for now."""
    busy: int
    """Number of busy workers."""
    active_at: float
    """When a job was last queued, due or running, seconds since the epoch."""
    needed: ScalingHistory
    """Numbers of workers that were needed within the stabilization windows."""
    replicas: ScalingHistory
    """Numbers of workers that were asked for within the periods of the policies."""
    now: float

    @property
    def demand(self) -> int:
        """Queued, due and running jobs."""
        return sum(queue.demand for queue in self.queues)

    @property
    def oldest(self) -> float:
        """Seconds for which the longest-waiting queued job has waited."""
        return max((queue.longest_wait for queue in self.queues), default=0.0)


@dataclass(frozen=True, slots=True)
class Size:
    """A number of workers, and the rule that determined it."""

    workers: int
    reason: Reason
    message: str
    is_limited: bool = False
    """Whether a limit of `scaling` changed the number; then the condition ScalingLimited is true."""
    is_temporary: bool = False
    """Whether the number may change by the passing of time alone."""


Rule = Callable[[SizingInput, Size], Size]


def need(pool: SizingInput) -> Size:
    """Return the number of workers that the queues ask for, at most `scaling.max`."""
    return at_most_max(pool, target_wait(pool, demand(pool)))


def demand(pool: SizingInput) -> Size:
    """Return one worker for every `jobsPerWorker` jobs."""
    if pool.demand == 0:
        return Size(0, Reason.IDLE, "no job is queued, due or running")
    per_worker = pool.spec.scaling.jobs_per_worker
    workers = math.ceil(pool.demand / per_worker)
    jobs = count_of(pool.demand, "job is", "jobs are")
    needs = f"{'needs' if pool.demand == 1 else 'need'} {count_of(workers, 'worker')}"
    message = f"{jobs} queued, due or running and {needs} (jobsPerWorker is {per_worker})"
    return Size(workers, Reason.DEMAND, message)


def target_wait(pool: SizingInput, size: Size) -> Size:
    """Add a worker when the oldest job waits too long: the demand does not show that jobs are slow."""
    limit = pool.spec.scaling.target_wait
    if pool.oldest <= limit:
        return size
    message = f"one more because the oldest job has waited {format_duration(pool.oldest)} (targetWait"
    return Size(size.workers + 1, Reason.TARGET_WAIT, f"{size.message}; {message} is {format_duration(limit)})")


def stabilization(pool: SizingInput, size: Size) -> Size:
    """Follow a higher or lower need only when it has lasted for its window. From zero the need is followed at once."""
    rules = pool.spec.scaling.behavior
    held = pool.current or size.workers
    held = max(held, min([size.workers, *needs_within(pool.needed, rules.scale_up.stabilization, pool.now)]))
    held = min(held, max([size.workers, *needs_within(pool.needed, rules.scale_down.stabilization, pool.now)]))
    if held == size.workers:
        return size
    window = rules.scale_up if held < size.workers else rules.scale_down
    message = f"held at {held} by the need of the last {format_duration(window.stabilization)}"
    return Size(held, Reason.STABILIZED, f"{size.message}; {message}", is_temporary=True)


def policies(pool: SizingInput, size: Size) -> Size:
    """Change the number no faster than the most generous policy allows. From zero the target is reached at once."""
    rules, wanted, current = pool.spec.scaling.behavior, size.workers, pool.current
    if wanted > current > 0 and rules.scale_up.policies:
        most = max(_most_allowed(pool, policy) for policy in rules.scale_up.policies)
        allowed, reason = min(wanted, max(most, current)), Reason.SCALE_UP_LIMIT
    elif wanted < current and rules.scale_down.policies:
        least = min(_least_allowed(pool, policy) for policy in rules.scale_down.policies)
        allowed, reason = max(wanted, min(least, current)), Reason.SCALE_DOWN_LIMIT
    else:
        return size
    if allowed == wanted:
        return size
    message = f"{size.message}; the policies of scaling.behavior allow {allowed} now"
    return Size(allowed, reason, message, is_limited=True, is_temporary=True)


def idle_wait(pool: SizingInput, size: Size) -> Size:
    """Hold the number until the queues have been empty for `scaling.idle`."""
    empty_for, idle = pool.now - pool.active_at, pool.spec.scaling.idle
    if pool.demand or size.workers >= pool.current or empty_for >= idle:
        return size
    message = f"{size.message} for {format_duration(empty_for)}; scales down after {format_duration(idle)}"
    return Size(pool.current, Reason.IDLE_WAIT, message, is_temporary=True)


def at_least_min(pool: SizingInput, size: Size) -> Size:
    """Apply `scaling.min` and the minimums of `scaling.schedules`, but never more than `scaling.max`."""
    least, reason, source = pool.spec.scaling.min, Reason.TOO_FEW_REPLICAS, "scaling.min"
    for index, minimum in active_minimums(pool.spec, pool.now).items():
        if minimum > least:
            least, reason, source = minimum, Reason.SCHEDULE, f"scaling.schedules[{index}]"
    least = min(least, pool.spec.scaling.max)
    if size.workers >= least:
        return size
    message = f"{size.message}; {source} asks for {least}"
    return Size(least, reason, message, is_limited=reason is Reason.TOO_FEW_REPLICAS)


def at_most_max(pool: SizingInput, size: Size) -> Size:
    """Apply `scaling.max`."""
    most = pool.spec.scaling.max
    if size.workers <= most:
        return size
    return Size(most, Reason.TOO_MANY_REPLICAS, f"{size.message}; scaling.max is {most}", is_limited=True)


def keep_busy_workers(pool: SizingInput, size: Size) -> Size:
    """Raise the number to that of the busy workers, which are never removed."""
    least = min(pool.busy, pool.current)
    if size.workers >= least:
        return size
    busy = count_of(pool.busy, "worker is busy", "workers are busy")
    return Size(least, Reason.BUSY_WORKERS, f"{size.message}; {busy}")


RULES_AFTER_NEED: tuple[Rule, ...] = (
    stabilization,
    policies,
    idle_wait,
    at_least_min,
    at_most_max,
    keep_busy_workers,
)
"""The rules that are applied, in this order, to the number that the queues ask for."""


def _most_allowed(pool: SizingInput, policy: ScalingPolicy) -> int:
    start = replicas_at(pool.replicas, pool.now - policy.period)
    return start + policy.value if policy.type == "Workers" else math.ceil(start * (1 + policy.value / 100))


def _least_allowed(pool: SizingInput, policy: ScalingPolicy) -> int:
    start = replicas_at(pool.replicas, pool.now - policy.period)
    least = start - policy.value if policy.type == "Workers" else math.floor(start * (1 - policy.value / 100))
    return max(0, least)
