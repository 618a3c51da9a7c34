"""Delays grow after each failure, up to a maximum, less a share that is drawn."""

import itertools
import math

import pytest
from hypothesis import given, strategies as st

from jobpools.core.backoff import Backoff

seconds = st.floats(0, 1e6)
backoffs = st.builds(Backoff, seconds, seconds, st.floats(1, 100), st.floats(0, 1))
draws = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("failures", "full", "shortest"), [(1, 0.5, 0.375), (2, 1.0, 0.75), (3, 2.0, 1.5), (9, 3.0, 2.25)]
)
def test_delays_double_up_to_the_maximum(failures: int, full: float, shortest: float) -> None:
    backoff = Backoff(initial=0.5, maximum=3.0)
    assert backoff.full_delay(failures) == backoff.delay(failures, draw=0.0) == full
    assert backoff.delay(failures, draw=1.0) == shortest


def test_a_factor_of_one_gives_equal_delays() -> None:
    assert {Backoff(2.0, 60.0, factor=1.0).full_delay(failures) for failures in range(1, 10)} == {2.0}


@given(backoffs, st.integers(1, 10**9), draws)
def test_a_delay_is_finite_and_within_its_bounds(backoff: Backoff, failures: int, draw: float) -> None:
    delay, full = backoff.delay(failures, draw), backoff.full_delay(failures)
    assert math.isfinite(delay)
    assert 0 <= delay <= full <= backoff.maximum
    assert delay >= full * (1 - backoff.jitter) * (1 - 1e-9)


@given(backoffs, draws)
def test_a_later_delay_is_never_shorter(backoff: Backoff, draw: float) -> None:
    delays = [backoff.delay(failures, draw) for failures in range(1, 30)]
    assert all(earlier <= later * (1 + 1e-9) for earlier, later in itertools.pairwise(delays))
