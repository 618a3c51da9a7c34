"""Quantiles of histograms are right within the stated error, whatever was merged into them and at which resolution."""

import math
from bisect import bisect_left
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from jobpools.core.histogram import BOUNDS, LOWEST, SCALE, Histogram, difference, merged, no_counts

durations = st.lists(st.floats(LOWEST * 1.1, BOUNDS[-1]), min_size=1, max_size=60)
shares = st.sampled_from([0.5, 0.95, 0.99, 1.0])


def histogram(values: list[float]) -> Histogram:
    counts = no_counts()
    for value in values:
        counts[bisect_left(BOUNDS, value)] += 1
    return Histogram(SCALE, difference(counts, no_counts()))


@given(durations, shares, st.integers(-2, SCALE))
def test_a_quantile_differs_from_the_exact_one_by_at_most_the_error(
    values: list[float], share: float, scale: int
) -> None:
    found = histogram(values).coarser(scale)
    exact = sorted(values)[math.ceil(share * len(values)) - 1]
    estimate = found.quantile(share)
    assert estimate is not None
    assert exact / (1 + found.error) * 0.999 <= estimate <= exact * (1 + found.error) * 1.001


@given(durations, durations, st.integers(-2, SCALE))
def test_merged_histograms_are_the_histogram_of_all_durations(
    first: list[float], second: list[float], scale: int
) -> None:
    assert merged([histogram(first).coarser(scale), histogram(second)]) == histogram(first + second).coarser(scale)


@pytest.mark.parametrize(("scale", "error"), [(2, 0.0905), (1, 0.1892), (0, 0.4142)])
def test_the_error_is_larger_at_a_lower_scale(scale: int, error: float) -> None:
    assert Histogram(scale).error == pytest.approx(error, abs=0.0001)


def test_an_empty_histogram_has_no_quantile_and_lowers_no_resolution() -> None:
    assert Histogram().quantile(0.5) is None
    assert merged([]) == Histogram()
    assert merged([Histogram(-1), histogram([1.0])]).scale == SCALE


def test_durations_beyond_the_bounds_count_in_the_first_and_last_bucket() -> None:
    found = histogram([0.0, 1e9])
    assert found.buckets == {0: 1, len(BOUNDS): 1}
    assert found.quantile(0.5) == LOWEST


def test_bounds_contain_one_second_and_have_a_constant_factor() -> None:
    assert 1.0 in BOUNDS
    assert all(b / a == pytest.approx(2**0.25) for a, b in pairwise(BOUNDS))
