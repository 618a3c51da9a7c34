"""What sizing remembers: numbers of workers that were needed, and numbers that were asked for."""

from jobpools.core.pools.specs import Behavior

ScalingHistory = tuple[tuple[float, int], ...]
"""(seconds since the epoch, number of workers), oldest first."""


def add_need(history: ScalingHistory, need: int, current: int, behavior: Behavior, now: float) -> ScalingHistory:
    """Return the history with the present need: one entry for each number, with the latest time it was needed.

    Without a history (after a restart) the current number counts as needed just now, as with the
    HorizontalPodAutoscaler.
    """
    start = now - max(behavior.scale_up.stabilization, behavior.scale_down.stabilization)
    latest = {number: min(at, now) for at, number in history} or {current: now}
    latest[need] = now
    return tuple(sorted((at, number) for number, at in latest.items() if at > start or number == need))


def needs_within(history: ScalingHistory, window: float, now: float) -> list[int]:
    """Return the numbers that were needed within the last `window` seconds."""
    return [number for at, number in history if at > now - window]


def add_replicas(history: ScalingHistory, current: int, behavior: Behavior, now: float) -> ScalingHistory:
    """Return the history of sizes with the current one, back to the start of the longest period of a policy."""
    policies = (*behavior.scale_up.policies, *behavior.scale_down.policies)
    start = now - max((policy.period for policy in policies), default=0.0)
    sizes = [(min(at, now), number) for at, number in history]
    if not sizes or sizes[-1][1] != current:
        sizes.append((now, current))
    while len(sizes) > 1 and sizes[1][0] <= start:
        sizes.pop(0)
    return tuple(sizes)


def replicas_at(history: ScalingHistory, instant: float) -> int:
    """Return the number that was asked for at an instant; the oldest known number if the history is shorter."""
    before = [number for at, number in history if at <= instant]
    return before[-1] if before else history[0][1]
