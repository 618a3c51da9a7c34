"""Who is asked first, and who gets how much: strict order, by weight from a given draw, or in turn."""

import math
from collections import Counter

import pytest
from hypothesis import given, strategies as st

from jobpools.core.jobs.fairness import priority_turns, take_turns, weighted_order, weighted_shares
from jobpools.core.jobs.job import Priority
from jobpools.core.jobs.policies import PriorityMode, QueuePolicy, Weights

draws = st.floats(0, 1, exclude_max=True)
weights = st.lists(st.integers(1, 1000), max_size=8)
WEIGHTED = QueuePolicy(priority=PriorityMode.WEIGHTED, weights=Weights(high=100, normal=50, low=10))


def order(policy: QueuePolicy, draw: float) -> tuple[Priority, ...]:
    """Who is asked by a claim of a single job, each once."""
    return tuple(dict.fromkeys(priority for priority, _ in priority_turns(policy, 1, draw)))


@pytest.mark.parametrize("draw", [0.0, 0.5, 0.999])
def test_strict_is_always_the_same(draw: float) -> None:
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


def test_each_is_first_in_proportion_to_its_weight() -> None:
    steps = 16_000
    first = Counter(order(WEIGHTED, step / steps)[0] for step in range(steps))
    assert first == {"high": 10_000, "normal": 5_000, "low": 1_000}


def test_the_second_is_drawn_by_weight_as_well() -> None:
    steps = 160_000
    orders = [order(WEIGHTED, step / steps) for step in range(steps)]
    second = Counter(order[1] for order in orders if order[0] == "high")
    assert math.isclose(second[Priority.NORMAL] / second[Priority.LOW], 5, rel_tol=0.01)


def test_a_large_claim_is_shared_and_what_one_lacks_the_others_give() -> None:
    turns = priority_turns(WEIGHTED, 160, 0.63)
    assert turns == (("high", 100), ("normal", 50), ("low", 10), ("normal", 160), ("high", 160), ("low", 160))


@given(st.integers(0, 2000), weights.filter(bool), draws)
def test_shares_add_up_and_are_exact_but_for_less_than_one(number: int, given_weights: list[int], draw: float) -> None:
    shares = weighted_shares(number, given_weights, draw)
    assert sum(shares) == number
    for share, weight in zip(shares, given_weights, strict=True):
        assert abs(share - number * weight / sum(given_weights)) < 1 + 1e-9
        assert share >= 0


@given(st.integers(1, 50), weights.filter(bool))
def test_over_all_draws_a_share_is_its_exact_part(number: int, given_weights: list[int]) -> None:
    draws = sum(given_weights)  # each end of a part falls between two of these
    shares = [weighted_shares(number, given_weights, (step + 0.5) / draws) for step in range(draws)]
    for place, weight in enumerate(given_weights):
        assert sum(share[place] for share in shares) == number * weight


@given(weights, draws)
def test_everyone_is_asked_once(given_weights: list[int], draw: float) -> None:
    everyone = weighted_order(enumerate(given_weights), draw)
    assert sorted(everyone) == list(range(len(given_weights)))


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
    picked = []
    for _ in range(8):
        turns = take_turns(1, (3, 1), owed)
        picked.append(turns.shares.index(1))
        owed = turns.credits
    assert picked == [0, 0, 1, 0, 0, 0, 1, 0]
