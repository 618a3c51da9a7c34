"""How one claim is shared among priorities, and how free slots are shared among queues: nothing starves."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from jobpools.core.jobs.job import Priority
from jobpools.core.jobs.policies import PriorityMode, QueuePolicy

T = TypeVar("T")

STRICT = (Priority.HIGH, Priority.NORMAL, Priority.LOW)


def priority_turns(policy: QueuePolicy, claim: int, draw: float) -> tuple[tuple[Priority, int], ...]:
    """Whom a claim of so many jobs asks, one after the other, and for how many at most.

    `draw` is from [0, 1) and counts only if Weighted: first each priority is asked for its share, then, where some had
    less than theirs, in an order drawn by weight for what is left.
    """
    if policy.priority is PriorityMode.STRICT:
        return tuple((priority, claim) for priority in STRICT)
    weights = (policy.weights.high, policy.weights.normal, policy.weights.low)
    shares = zip(STRICT, weighted_shares(claim, weights, draw), strict=True)
    order = weighted_order(zip(STRICT, weights, strict=True), draw)
    return (*((priority, share) for priority, share in shares if share), *((priority, claim) for priority in order))


def weighted_shares(number: int, weights: Sequence[int], draw: float) -> tuple[int, ...]:
    """`number` by weight: each share is its exact part, rounded up or down so that the mean over all draws is exact.

    `number` points stand evenly on the line of all weights, the first where the draw says; a share is how many stand
    on its part. One point is a draw by weight.
    """
    total = sum(weights)
    ends = [math.ceil(number * sum(weights[: place + 1]) / total - draw) for place in range(len(weights))]
    return tuple(end - start for start, end in pairwise([0, *ends[:-1], number]))


def weighted_order(items: Iterable[tuple[T, int]], draw: float) -> tuple[T, ...]:
    """All items, drawn one after another by weight: each is first with the probability weight / sum of weights.

    One draw from [0, 1) serves all picks: what is left of it within the picked one's share is again evenly spread.
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
class Turns:
    """How free slots are shared, and the accounts with which the next sharing goes on."""

    shares: tuple[int, ...]
    credits: tuple[int, ...]
    """Each queue's account: what it is owed (or has had too much) of the slots that did not divide."""


def take_turns(room: int, weights: Sequence[int], owed: Sequence[int]) -> Turns:
    """Share `room` slots by weight: whole cycles divide exactly, the rest goes round in turn.

    `owed` are the accounts of the sharing before, 0 at first. The shares add up to `room`, and over many sharings of a
    single slot each queue gets its exact share (smooth weighted round robin, as nginx picks its servers).
    """
    total = sum(weights)
    cycles, rest = divmod(room, total)
    shares = [cycles * weight for weight in weights]
    accounts = list(owed)
    for _ in range(rest):
        accounts = [account + weight for account, weight in zip(accounts, weights, strict=True)]
        first = max(range(len(weights)), key=accounts.__getitem__)
        accounts[first] -= total
        shares[first] += 1
    return Turns(tuple(shares), tuple(accounts))
