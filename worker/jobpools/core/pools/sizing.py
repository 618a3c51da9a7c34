"""How many workers there should be: a chain of small rules, each of which says what it did and why.

The first rules may end the question (unknown, paused, Manual); the others take a wanted number and hand on another.
The meanings of `behavior` are those of the HorizontalPodAutoscaler, version 2.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from jobpools.core.decision import Decision
from jobpools.core.pools.facts import Memory, PoolFacts, QueueFacts
from jobpools.core.pools.reasons import Reason
from jobpools.core.pools.specs import PoolSpec, ScalingMode, ScalingPolicy
from jobpools.core.pools.workers import busy_hosts
from jobpools.core.schedules.expression import parse_cron
from jobpools.core.text.durations import format_duration
from jobpools.errors import SpecError

LIMITS = frozenset({"TooManyReplicas", "TooFewReplicas", "ScaleUpLimit", "ScaleDownLimit"})
"""Reasons with which the wanted number was cut: they make the condition ScalingLimited true."""


@dataclass(frozen=True, slots=True)
class Case:
    """What the rules look at."""

    spec: PoolSpec
    queues: tuple[QueueFacts, ...]
    current: int
    """How many workers are asked for now."""
    busy: int
    active_at: float
    memory: Memory
    now: float

    @property
    def demand(self) -> int:
        """Queued, due and running jobs."""
        return sum(queue.demand for queue in self.queues)

    @property
    def oldest(self) -> float:
        """Seconds for which the longest-waiting queued job has waited."""
        return max((queue.oldest_seconds or 0.0 for queue in self.queues), default=0.0)


@dataclass(frozen=True, slots=True)
class Sizing:
    """The answer, and what the next pass has to remember of how it came about."""

    desired: Decision[int | None]
    memory: Memory


def size(spec: PoolSpec, facts: PoolFacts, memory: Memory, now: float) -> Sizing:
    """How many workers there should be; None: something is unknown, and the last size is held."""
    cluster = facts.cluster
    if cluster is None:
        return Sizing(
            Decision(None, Reason.CLUSTER_UNKNOWN, _unknown("the cluster", Reason.CLUSTER_UNKNOWN, facts)), memory
        )
    current = cluster.replicas or 0
    memory = replace(memory, replicas=remember_size(memory.replicas, current, spec, now))
    if spec.paused:
        return Sizing(Decision(current, "Paused", f"paused: {current} workers are held"), memory)
    if spec.scaling.mode is ScalingMode.MANUAL:
        wanted = current if spec.replicas is None else spec.replicas
        return Sizing(Decision(wanted, "Manual", f"scaling.mode is Manual: {wanted} workers are asked for"), memory)
    if facts.queues is None or facts.heartbeats is None:
        message = f"{_unknown('the queues', Reason.QUEUES_UNKNOWN, facts)}: {current} workers are held"
        return Sizing(Decision(None, Reason.QUEUES_UNKNOWN, message), memory)
    case = Case(
        spec=spec,
        queues=tuple(facts.queues.values()),
        current=current,
        busy=len(busy_hosts(facts)),
        active_at=_active_at(facts, memory, now),
        memory=memory,
        now=now,
    )
    return _auto(case)


def _auto(case: Case) -> Sizing:
    wanted = _at_most(case, _waits(case, _demand(case)))
    desired = remember_need(case.memory.desired, wanted.value, case)
    case = replace(case, memory=replace(case.memory, desired=desired, active_at=case.active_at))
    for rule in AFTER_DEMAND:
        wanted = rule(case, wanted)
    return Sizing(Decision(wanted.value, wanted.reason, wanted.message), case.memory)


def _demand(case: Case) -> Decision[int]:
    if case.demand == 0:
        return Decision(0, "Idle", "nothing is queued, due or running")
    per_worker = case.spec.scaling.jobs_per_worker
    need = math.ceil(case.demand / per_worker)
    jobs = "1 job" if case.demand == 1 else f"{case.demand} jobs"
    return Decision(need, "Demand", f"{jobs} queued, due or running, at {per_worker} a worker, ask for {need}")


def _waits(case: Case, wanted: Decision[int]) -> Decision[int]:
    """The depth alone cannot see that jobs are long: waiting shows it."""
    limit = case.spec.scaling.target_wait
    if case.oldest <= limit:
        return wanted
    waited = f"the oldest has waited {format_duration(case.oldest)}, more than {format_duration(limit)}: one more"
    return Decision(wanted.value + 1, "TargetWait", f"{wanted.message}; {waited}")


def _stabilised(case: Case, wanted: Decision[int]) -> Decision[int]:
    """A higher need counts when it has lasted, a lower one likewise. From zero there is nothing to wait for."""
    rules = case.spec.scaling.behavior
    value = case.current
    if case.current == 0:
        value = wanted.value
    value = max(value, min([wanted.value, *_within(case, rules.scale_up.stabilization)]))
    value = min(value, max([wanted.value, *_within(case, rules.scale_down.stabilization)]))
    if value == wanted.value:
        return wanted
    window = rules.scale_up if value < wanted.value else rules.scale_down
    held = f"held at {value} by what was needed within {format_duration(window.stabilization)}"
    return Decision(value, "Stabilized", f"{wanted.message}; {held}")


def _within_policies(case: Case, wanted: Decision[int]) -> Decision[int]:
    """No faster than the most generous policy allows. From zero it goes straight to the target."""
    rules = case.spec.scaling.behavior
    value, current = wanted.value, case.current
    if value > current > 0 and rules.scale_up.policies:
        most = max(_ceiling(case, policy) for policy in rules.scale_up.policies)
        value = min(value, max(most, current))
        reason = "ScaleUpLimit"
    elif value < current and rules.scale_down.policies:
        least = min(_floor(case, policy) for policy in rules.scale_down.policies)
        value = max(value, min(least, current))
        reason = "ScaleDownLimit"
    if value == wanted.value:
        return wanted
    return Decision(value, reason, f"{wanted.message}; the policies of behavior allow {value} now")


def _idle_long_enough(case: Case, wanted: Decision[int]) -> Decision[int]:
    """An empty queue is no reason to shrink until it has been empty for `idle`."""
    since, idle = case.now - case.active_at, case.spec.scaling.idle
    if case.demand or wanted.value >= case.current or since >= idle:
        return wanted
    return Decision(
        case.current,
        "IdleWait",
        f"{wanted.message} for {format_duration(since)}; shrinks after {format_duration(idle)}",
    )


def _at_least(case: Case, wanted: Decision[int]) -> Decision[int]:
    least = case.spec.scaling.min
    reason, what = "TooFewReplicas", "scaling.min"
    for place, each in enumerate(open_schedules(case.spec, case.now)):
        if each > least:
            least, reason, what = each, "Schedule", f"an open one of scaling.schedules ({place + 1})"
    least = min(least, case.spec.scaling.max)
    if wanted.value >= least:
        return wanted
    return Decision(least, reason, f"{wanted.message}; {what} asks for {least}")


def _at_most(case: Case, wanted: Decision[int]) -> Decision[int]:
    most = case.spec.scaling.max
    if wanted.value <= most:
        return wanted
    return Decision(most, "TooManyReplicas", f"{wanted.message}; scaling.max is {most}")


def _not_below_busy(case: Case, wanted: Decision[int]) -> Decision[int]:
    floor = min(case.busy, case.current)
    if wanted.value >= floor:
        return wanted
    return Decision(floor, "BusyWorkers", f"{wanted.message}; {case.busy} workers are busy")


Rule = Callable[[Case, Decision[int]], Decision[int]]
AFTER_DEMAND: tuple[Rule, ...] = (
    _stabilised,
    _within_policies,
    _idle_long_enough,
    _at_least,
    _at_most,
    _not_below_busy,
)


def open_schedules(spec: PoolSpec, now: float) -> list[int]:
    """The minimum of each of `scaling.schedules` that is open now. A wrong one is left out; `wrong_schedule` tells."""
    found = []
    for each in spec.scaling.schedules:
        try:
            opened = parse_cron(each.cron, each.time_zone).latest(now, since=now - each.duration)
        except SpecError:
            continue
        if opened is not None:
            found.append(each.min)
    return found


def wrong_schedule(spec: PoolSpec) -> str:
    """What is wrong with `scaling.schedules`, in one line; empty: nothing."""
    for place, each in enumerate(spec.scaling.schedules):
        try:
            parse_cron(each.cron, each.time_zone)
        except SpecError as error:
            return f"scaling.schedules[{place}]: {error}"
    return ""


def _within(case: Case, window: float) -> list[int]:
    return [need for at, need in case.memory.desired if at > case.now - window]


def remember_need(known: tuple[tuple[float, int], ...], need: int, case: Case) -> tuple[tuple[float, int], ...]:
    """One entry for each number, with the latest time it was needed: the windows ask for nothing more.

    Without a memory (a restart) the present size counts as needed just now, as with the HorizontalPodAutoscaler.
    """
    rules = case.spec.scaling.behavior
    start = case.now - max(rules.scale_up.stabilization, rules.scale_down.stabilization)
    latest = {number: min(at, case.now) for at, number in known} or {case.current: case.now}
    latest[need] = case.now
    return tuple(sorted((at, number) for number, at in latest.items() if at > start or number == need))


def remember_size(
    known: tuple[tuple[float, int], ...], current: int, spec: PoolSpec, now: float
) -> tuple[tuple[float, int], ...]:
    """The sizes seen, back to what it was when the longest period of a policy began."""
    policies = (*spec.scaling.behavior.scale_up.policies, *spec.scaling.behavior.scale_down.policies)
    start = now - max((policy.period for policy in policies), default=0.0)
    sizes = [(min(at, now), number) for at, number in known]
    if not sizes or sizes[-1][1] != current:
        sizes.append((now, current))
    while len(sizes) > 1 and sizes[1][0] <= start:
        sizes.pop(0)
    return tuple(sizes)


def _at_start(case: Case, policy: ScalingPolicy) -> int:
    sizes = case.memory.replicas
    before = [number for at, number in sizes if at <= case.now - policy.period]
    return before[-1] if before else sizes[0][1]


def _ceiling(case: Case, policy: ScalingPolicy) -> int:
    start = _at_start(case, policy)
    return start + policy.value if policy.type == "Workers" else math.ceil(start * (1 + policy.value / 100))


def _floor(case: Case, policy: ScalingPolicy) -> int:
    start = _at_start(case, policy)
    return max(0, start - policy.value if policy.type == "Workers" else math.floor(start * (1 - policy.value / 100)))


def _active_at(facts: PoolFacts, memory: Memory, now: float) -> float:
    """Since when nothing is queued, due or in flight; rebuilt from the workers' own word after a restart."""
    queues, heartbeats = facts.queues or {}, facts.heartbeats or ()
    if any(queue.demand for queue in queues.values()):
        return now
    known = [memory.active_at] if memory.active_at is not None else []
    # A worker that has just started is idle since then, which says nothing of the queues.
    known += [each.idle_since for each in heartbeats if each.idle_since is not None and each.completed + each.failed]
    return min(max(known, default=now), now)


def _unknown(what: str, reason: Reason, facts: PoolFacts) -> str:
    causes = "; ".join(problem.message for problem in facts.problems if problem.reason == reason)
    return f"{what} cannot be read" + (f": {causes}" if causes else "")
