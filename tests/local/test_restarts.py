"""When a worker that exited by itself is replaced, and when its pool counts as crash-looping."""

import pytest

from jobpools.local.restarts import RestartPolicy

POLICY = RestartPolicy()


@pytest.mark.parametrize(
    ("before", "uptime", "ready", "after"),
    [(0, 1, True, 1), (1, 1, True, 2), (5, 30, True, 1), (5, 600, False, 6), (0, 600, True, 1)],
)
def test_early_exits_are_counted_until_a_stable_run(before: int, uptime: float, ready: bool, after: int) -> None:  # noqa: FBT001  # a table's column
    assert POLICY.early_exits(before, uptime, ready=ready) == after


def test_the_delay_doubles_up_to_its_maximum() -> None:
    assert [POLICY.delay(count) for count in (1, 2, 3, 6, 7, 100)] == [0.5, 1.0, 2.0, 16.0, 30.0, 30.0]


def test_only_exits_before_readiness_are_a_crash_loop() -> None:
    assert [POLICY.is_crash_loop(count, ready=False) for count in (2, 3, 4)] == [False, True, True]
    assert not POLICY.is_crash_loop(9, ready=True)
