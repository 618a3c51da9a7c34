"""`outdated`, by which the cluster suite checks statuses, finds each figure that was not true."""

from tests.cluster.recording import BOUND, outdated

NOTHING: dict[str, int] = {}
LEASED = [(0.0, NOTHING), (10.0, {"a": 4, "b": 4})]
"""Two workers that become busy at 10 s."""


def test_a_figure_within_the_bound_is_right() -> None:
    assert outdated(LEASED, [(0.0, 0), (11.0, 4), (13.0, 8)], until=100.0) == [], (
        "half of it, because the heartbeats of two workers differ in time"
    )


def test_a_figure_that_was_never_true_is_found() -> None:
    assert outdated(LEASED, [(0.0, 0), (13.0, 8), (20.0, 3), (22.0, 8)], until=100.0) == [
        "3 at 20.0 s, from 8 to 8 was true"
    ]
    assert outdated(LEASED, [(0.0, 0), (11.0, 9)], until=12.0) == ["9 at 11.0 s, from 0 to 8 was true"]


def test_a_figure_that_stays_for_longer_than_the_bound_is_found() -> None:
    late = 10.0 + BOUND + 0.1
    assert outdated(LEASED, [(0.0, 0), (late, 8)], until=100.0) == ["0 at 15.0 s, from 8 to 8 was true"]
    assert outdated(LEASED, [(0.0, 0), (late - 0.2, 8)], until=100.0) == []


def test_a_figure_that_is_written_in_steps_may_differ_by_a_step() -> None:
    deep = [(0.0, {"q": 1000}), (60.0, {"q": 300})]
    assert outdated(deep, [(0.0, 1000), (70.0, 300)], until=100.0, bound=18, step=2.5) == []
    assert outdated(deep, [(0.0, 1000), (79.0, 300)], until=100.0, bound=18, step=2.5) != []


def test_the_last_figure_is_checked_until_the_end() -> None:
    assert outdated(LEASED, [(0.0, 0)], until=10.0 + BOUND + 0.1) != []


def test_jobs_that_move_to_another_worker_may_be_counted_in_both_or_in_none() -> None:
    """The heartbeats of the two workers are at most 5 s old, and differ in time."""
    moved = [(0.0, {"a": 4}), (10.0, {"b": 4})]
    assert outdated(moved, [(0.0, 4), (11.0, 0), (13.0, 8), (15.0, 4)], until=100.0) == []


def test_an_unknown_figure_is_found() -> None:
    assert outdated(LEASED, [(0.0, 0), (12.0, None)], until=14.0) == ["None at 12.0 s, from 0 to 8 was true"]
