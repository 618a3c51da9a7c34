"""Who is asked first, and who gets how much: strict order, by weight from a given draw, or in turn."""

import math
from collections import Counter

import pytest
from hypothesis import given, strategies as st

from jobpools.core.job import Priority
from jobpools.core.serving import PriorityMode, QueuePolicy, Weights
from jobpools.core.weights import priority_order, take_turns, weighted_order

draws = st.floats(0, 1, exclude_max=True)
weights = st.lists(st.integers(1, 1000), max_size=8)
WEIGHTED = QueuePolicy(priority=PriorityMode.WEIGHTED, weights=Weights(high=100, normal=50, low=10))


@pytest.mark.parametrize("draw", [0.0, 0.5, 0.999])
def test_strict_is_always_the_same(draw: float) -> None:
    assert priority_order(QueuePolicy(), draw) == ("high", "normal", "low")


@pytest.mark.parametrize(
    ("draw", "order"),
    [
        (0.0, ("high", "normal", "low")),
        (0.61, ("high", "low", "normal")),
        (0.63, ("normal", "high", "low")),
        (0.999, ("low", "normal", "high")),
    ],
)
def test_weighted_follows_the_draw(draw: float, order: tuple[str, ...]) -> None:
    assert priority_order(WEIGHTED, draw) == order


def test_each_is_first_in_proportion_to_its_weight() -> None:
    steps = 16_000
    first = Counter(priority_order(WEIGHTED, step / steps)[0] for step in range(steps))
    assert first == {"high": 10_000, "normal": 5_000, "low": 1_000}


def test_the_second_is_drawn_by_weight_as_well() -> None:
    steps = 160_000
    orders = [priority_order(WEIGHTED, step / steps) for step in range(steps)]
    second = Counter(order[1] for order in orders if order[0] == "high")
    assert math.isclose(second[Priority.NORMAL] / second[Priority.LOW], 5, rel_tol=0.01)


@given(weights, draws)
def test_everyone_is_asked_once(given_weights: list[int], draw: float) -> None:
    order = weighted_order(enumerate(given_weights), draw)
    assert sorted(order) == list(range(len(given_weights)))


@given(st.lists(st.integers(0, 50), max_size=40), weights.filter(bool))
def test_turns_add_up_and_are_fair_over_time(rooms: list[int], given_weights: list[int]) -> None:
    owed: tuple[int, ...] = (0,) * len(given_weights)
    got = [0] * len(given_weights)
    for room in rooms:
        turns = take_turns(room, given_weights, owed)
        assert sum(turns.shares) == room
        owed = turns.credits
        got = [sum(pair) for pair in zip(got, turns.shares, strict=True)]
    for share, weight in zip(got, given_weights, strict=True):
        exact = sum(rooms) * weight / sum(given_weights)
        assert exact - len(given_weights) < share < exact + len(given_weights)


def test_single_slots_go_round_by_weight() -> None:
    owed: tuple[int, ...] = (0, 0)
    order = []
    for _ in range(8):
        turns = take_turns(1, (3, 1), owed)
        order.append(turns.shares.index(1))
        owed = turns.credits
    assert order == [0, 0, 1, 0, 0, 0, 1, 0]
