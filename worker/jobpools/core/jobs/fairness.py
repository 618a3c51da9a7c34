"""Share a claim among priorities, and free slots among queues, so that none of them starves."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from jobpools.core.jobs.job import Priority
from jobpools.core.jobs.policies import PriorityMode, QueuePolicy

T = TypeVar("T")

PRIORITIES = (Priority.HIGH, Priority.NORMAL, Priority.LOW)


def priority_turns(policy: QueuePolicy, claim: int, draw: float) -> tuple[tuple[Priority, int], ...]:
    """Return the turns of a claim: priorities in order, each with the maximum number of jobs to take.

    With Weighted, each priority first has its share. If one has fewer jobs than its share, the rest of the claim is
    taken in an order drawn by weight.

    Args:
        policy: The queue's policy.
        claim: Number of jobs to claim.
        draw: A random number from [0, 1), used only with Weighted.
    """
    if policy.priority is PriorityMode.STRICT:
        return tuple((priority, claim) for priority in PRIORITIES)
    weights = (policy.weights.high, policy.weights.normal, policy.weights.low)
    shares = zip(PRIORITIES, weighted_shares(claim, weights, draw), strict=True)
    order = weighted_order(zip(PRIORITIES, weights, strict=True), draw)
    return (*((priority, share) for priority, share in shares if share), *((priority, claim) for priority in order))


def weighted_shares(number: int, weights: Sequence[int], draw: float) -> tuple[int, ...]:
    """Divide `number` by weight; each share is rounded up or down so that its mean over all draws is exact.

    This is systematic sampling: `number` evenly spaced points, shifted by `draw`, lie on a line of the weights, and a
    share is the number of points on its part.
    """
    total = sum(weights)
    ends = [math.ceil(number * sum(weights[: index + 1]) / total - draw) for index in range(len(weights))]
    return tuple(end - start for start, end in pairwise([0, *ends[:-1], number]))


def weighted_order(items: Iterable[tuple[T, int]], draw: float) -> tuple[T, ...]:
    """Return all items in an order drawn by weight: each is first with the probability weight / sum of weights.

    One draw from [0, 1) serves all picks: its remainder within the picked item's share is again evenly distributed.
    """
    left = list(items)
    order: list[T] = []
    while left:
        point = draw * sum(weight for _, weight in left)
        at = 0
        while point >= left[at][1] and at < len(left) - 1:
            point -= left[at][1]
            at += 1
        item, weight = left.pop(at)
        order.append(item)
        draw = min(point / weight, 1 - 2**-53)
    return tuple(order)


@dataclass(frozen=True, slots=True)
class SlotShares:
    """The shares of the free slots, and the credits for the next sharing."""

    shares: tuple[int, ...]
    credits: tuple[int, ...]
    """By queue: the slots that it is owed (negative: that it had in excess), in units of 1 / sum of weights."""


def share_slots(slots: int, weights: Sequence[int], former_credits: Sequence[int]) -> SlotShares:
    """Share free slots among queues by weight: whole cycles divide exactly, the rest is assigned in turn.

    The shares add up to `slots`. Over many sharings of a single slot each queue gets its exact share (smooth weighted
    round robin, as nginx picks its servers). `former_credits` are those of the previous sharing, 0 at first.
    """
    total = sum(weights)
    cycles, rest = divmod(slots, total)
    shares = [cycles * weight for weight in weights]
    balances = list(former_credits)
    for _ in range(rest):
        balances = [balance + weight for balance, weight in zip(balances, weights, strict=True)]
        first = max(range(len(weights)), key=balances.__getitem__)
        balances[first] -= total
        shares[first] += 1
    return SlotShares(tuple(shares), tuple(balances))
