"""In which order queues and priorities are asked for one claim. The draw is an argument; nothing starves by weight."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from jobpools.core.job import Priority
from jobpools.core.specs import PriorityMode, QueuePolicy, QueueRef

T = TypeVar("T")

STRICT = (Priority.HIGH, Priority.NORMAL, Priority.LOW)


def priority_order(policy: QueuePolicy, draw: float) -> tuple[Priority, ...]:
    """The priorities in the order in which one claim asks them; `draw` is from [0, 1) and counts only if Weighted."""
    if policy.priority is PriorityMode.STRICT:
        return STRICT
    weights = policy.weights
    return weighted_order(zip(STRICT, (weights.high, weights.normal, weights.low), strict=True), draw)


def queue_order(queues: Sequence[QueueRef], draw: float) -> tuple[str, ...]:
    """The queues in the order in which a worker with one free slot asks them; `draw` is from [0, 1)."""
    return weighted_order([(queue.name, queue.weight) for queue in queues], draw)


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


def shares(room: int, weights: Sequence[int], draw: float) -> tuple[int, ...]:
    """How many of `room` free slots each weight gets: its exact share rounded down, the rest drawn by what was cut off.

    They add up to `room`. `draw` is from [0, 1).
    """
    total = sum(weights)
    if not total:
        return ()
    given = [room * weight // total for weight in weights]
    cut_off = [(place, room * weight % total) for place, weight in enumerate(weights)]
    rest = room - sum(given)
    for place in weighted_order([(place, part) for place, part in cut_off if part], draw)[:rest]:
        given[place] += 1
    return tuple(given)
