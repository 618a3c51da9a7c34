"""Rates between samples of a queue's totals."""

import pytest

from jobpools.core.pools.memory import Sample
from jobpools.core.pools.rates import Rates, add_sample, measure_rates
from tests.support.pools import NOW, pool_facts


def samples(*found: tuple[float, int, int, int]) -> tuple[Sample, ...]:
    return tuple(Sample(at=NOW - age, completed=done, failed=bad, crashed=lost) for age, done, bad, lost in found)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ((), Rates()),
        (samples((100, 0, 0, 0)), Rates(60.0, 0.167, 120, 5)),
        (samples((100, 0, 0, 0), (60, 40, 9, 0)), Rates(60.0, 0.167, 120, 5)),
        (samples((100, 0, 0, 0), (30, 70, 9, 0)), Rates(60.0, 0.167, 120, 5)),
        (samples((4, 90, 15, 5)), Rates(None, 0.0, 10, 0)),
        (samples((100, 100, 15, 5)), Rates(0.0, None, 0, 0)),
        (samples((-5, 0, 0, 0)), Rates()),
    ],
)
def test_rates_between_samples_and_present_totals(before: tuple[Sample, ...], expected: Rates) -> None:
    facts = pool_facts(completed_total=100, failed_total=15, crashed_total=5)
    assert measure_rates(before, facts, NOW) == expected


@pytest.mark.parametrize(
    ("name", "before", "ages"),
    [
        ("the first sample", (), [0]),
        ("too soon after the last", samples((4, 0, 0, 0)), [4]),
        ("long enough after the last", samples((5, 0, 0, 0)), [5, 0]),
        ("back to the window's start", samples((400, 0, 0, 0), (310, 0, 0, 0), (290, 0, 0, 0)), [310, 290, 0]),
        ("after Redis was emptied", samples((20, 999, 0, 0), (10, 999, 0, 0)), [0]),
        ("after the clock went back", samples((-20, 0, 0, 0)), [0]),
    ],
)
def test_samples_that_are_kept(name: str, before: tuple[Sample, ...], ages: list[float]) -> None:
    kept = add_sample(before, pool_facts(completed_total=100), NOW)
    assert [NOW - sample.at for sample in kept] == ages, name
