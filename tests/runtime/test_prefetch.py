"""How many jobs are claimed beyond the free slots."""

import pytest

from jobpools.runtime.prefetch import BATCH, PREFETCH_LIMIT, Prefetch


def prefetch(mean: float, occupied: int = 0) -> Prefetch:
    found = Prefetch()
    found.observe(mean)
    found.occupied = occupied
    return found


def test_nothing_is_prefetched_before_an_attempt_was_measured() -> None:
    assert Prefetch().limit(10) == 0


@pytest.mark.parametrize("mean", [0.6, 1.0, 30.0, 600.0])
def test_long_jobs_are_never_prefetched(mean: float) -> None:
    assert prefetch(mean).limit(10) == 0


@pytest.mark.parametrize(
    ("mean", "limit"), [(0.1, 5), (0.05, 10), (0.005, 100), (0.0001, PREFETCH_LIMIT), (0.0, PREFETCH_LIMIT)]
)
def test_short_jobs_are_prefetched_if_they_start_soon(mean: float, limit: int) -> None:
    assert prefetch(mean).limit(10) == limit


def test_slots_with_a_slow_job_do_not_count() -> None:
    assert prefetch(0.005, occupied=9).limit(10) == 10
    assert prefetch(0.005, occupied=11).limit(10) == 0


def test_the_mean_follows_recent_attempts() -> None:
    found = prefetch(1.0)
    for _ in range(100):
        found.observe(0.01)
    assert found.mean is not None
    assert 0.01 < found.mean < 0.03


@pytest.mark.parametrize(
    ("limit", "waiting", "is_stocked"),
    [(100, 50, False), (100, 51, True), (PREFETCH_LIMIT, PREFETCH_LIMIT - BATCH, False), (0, 0, False)],
)
def test_a_claim_waits_until_a_batch_or_half_of_the_limit_is_missing(
    limit: int, waiting: int, *, is_stocked: bool
) -> None:
    found = prefetch({100: 0.005, PREFETCH_LIMIT: 0.0, 0: 60.0}[limit])
    assert found.limit(10) == limit
    assert found.is_stocked(10, waiting) is is_stocked
