"""The order and the shares of priorities in a claim, and of queues in the free slots."""

import math
from collections import Counter

import pytest
from hypothesis import given, strategies as st

from jobpools.core.jobs.fairness import priority_turns, share_slots, weighted_order, weighted_shares
from jobpools.core.jobs.job import Priority
from jobpools.core.jobs.policies import PriorityMode, QueuePolicy, Weights

draws = st.floats(0, 1, exclude_max=True)
weights = st.lists(st.integers(1, 1000), max_size=8)
WEIGHTED = QueuePolicy(priority=PriorityMode.WEIGHTED, weights=Weights(high=100, normal=50, low=10))


def order(policy: QueuePolicy, draw: float) -> tuple[Priority, ...]:
    """Return the priorities in the order in which a claim of a single job takes from them."""
    return tuple(dict.fromkeys(priority for priority, _ in priority_turns(policy, 1, draw)))


@pytest.mark.parametrize("draw", [0.0, 0.5, 0.999])
def test_strict_has_one_order_for_every_draw(draw: float) -> None:
    assert priority_turns(QueuePolicy(), 50, draw) == (("high", 50), ("normal", 50), ("low", 50))


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (0.0, ("high", "normal", "low")),
        (0.61, ("high", "low", "normal")),
        (0.63, ("normal", "high", "low")),
        (0.999, ("low", "normal", "high")),
    ],
)
def test_weighted_follows_the_draw(draw: float, expected: tuple[str, ...]) -> None:
    assert order(WEIGHTED, draw) == expected


def test_each_priority_is_first_in_proportion_to_its_weight() -> None:
    steps = 16_000
    first = Counter(order(WEIGHTED, step / steps)[0] for step in range(steps))
    assert first == {"high": 10_000, "normal": 5_000, "low": 1_000}


def test_the_second_priority_is_drawn_by_weight_as_well() -> None:
    steps = 16_000
    orders = [order(WEIGHTED, step / steps) for step in range(steps)]
    second = Counter(order[1] for order in orders if order[0] == "high")
    assert math.isclose(second[Priority.NORMAL] / second[Priority.LOW], 5, rel_tol=0.01)


def test_a_large_claim_is_shared_and_the_rest_is_taken_in_the_drawn_order() -> None:
    turns = priority_turns(WEIGHTED, 160, 0.63)
    assert turns == (("high", 100), ("normal", 50), ("low", 10), ("normal", 160), ("high", 160), ("low", 160))


@given(st.integers(0, 2000), weights.filter(bool), draws)
def test_shares_add_up_and_are_exact_to_less_than_one_job(number: int, given_weights: list[int], draw: float) -> None:
    shares = weighted_shares(number, given_weights, draw)
    assert sum(shares) == number
    for share, weight in zip(shares, given_weights, strict=True):
        assert abs(share - number * weight / sum(given_weights)) < 1 + 1e-9
        assert share >= 0


@given(st.integers(1, 50), weights.filter(bool))
def test_the_mean_of_a_share_over_all_draws_is_exact(number: int, given_weights: list[int]) -> None:
    draws = sum(given_weights)  # each end of a part falls between two of these
    shares = [weighted_shares(number, given_weights, (step + 0.5) / draws) for step in range(draws)]
    for place, weight in enumerate(given_weights):
        assert sum(share[place] for share in shares) == number * weight


@given(weights, draws)
def test_each_item_is_in_the_order_once(given_weights: list[int], draw: float) -> None:
    ordered = weighted_order(enumerate(given_weights), draw)
    assert sorted(ordered) == list(range(len(given_weights)))


@given(st.lists(st.integers(0, 50), max_size=40), weights.filter(bool))
def test_shared_slots_add_up_and_are_fair_over_time(sharings: list[int], given_weights: list[int]) -> None:
    former_credits: tuple[int, ...] = (0,) * len(given_weights)
    got = [0] * len(given_weights)
    for slots in sharings:
        turns = share_slots(slots, given_weights, former_credits)
        assert sum(turns.shares) == slots
        former_credits = turns.credits
        got = [sum(pair) for pair in zip(got, turns.shares, strict=True)]
    for share, weight in zip(got, given_weights, strict=True):
        exact = sum(sharings) * weight / sum(given_weights)
        assert exact - len(given_weights) < share < exact + len(given_weights)


def test_single_slots_are_assigned_in_turn_by_weight() -> None:
    former_credits: tuple[int, ...] = (0, 0)
    picked = []
    for _ in range(8):
        turns = share_slots(1, (3, 1), former_credits)
        picked.append(turns.shares.index(1))
        former_credits = turns.credits
    assert picked == [0, 0, 1, 0, 0, 0, 1, 0]
