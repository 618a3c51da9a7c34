"""A filter says in which states a job can match, and when its times begin to count."""

import pytest

from jobpools.core.jobs.job import DeadReason, JobState
from jobpools.core.jobs.job_filter import Ago, JobFilter, is_within

LIVE = ("queued", "scheduled", "running")


@pytest.mark.parametrize(
    ("chosen", "states"),
    [
        (JobFilter(), (*LIVE, "completed", "dead", "cancelled")),
        (JobFilter(states=(JobState.DEAD, JobState.QUEUED)), ("queued", "dead")),
        (JobFilter(tags=("vip",)), (*LIVE, "completed", "dead")),
        (JobFilter(reason=DeadReason.TIMEOUT), ("dead",)),
        (JobFilter(ended_after=1.0), ("completed", "dead", "cancelled")),
        (JobFilter(ended_before=Ago(1.0), tags=("vip",)), ("completed", "dead")),
        (JobFilter(ended_before=Ago(1.0), states=(JobState.QUEUED,)), ()),
    ],
)
def test_states_in_which_no_job_can_match_are_not_searched(chosen: JobFilter, states: tuple[str, ...]) -> None:
    assert chosen.searched_states() == states


def test_relative_times_count_from_the_start_of_the_search() -> None:
    chosen = JobFilter(created_after=Ago(60), created_before=7.0, ended_after=Ago(1), ended_before=Ago(0)).at(1000.0)
    assert (chosen.created_after, chosen.created_before) == (940.0, 7.0)
    assert (chosen.ended_after, chosen.ended_before) == (999.0, 1000.0)
    assert JobFilter().at(1000.0) == JobFilter()


def test_different_filters_have_different_digests() -> None:
    filters = [
        JobFilter(),
        JobFilter(name="a"),
        JobFilter(worker="a"),
        JobFilter(reason=DeadReason.EXPIRED),
        JobFilter(tags=("a",)),
        JobFilter(created_after=1.0),
        JobFilter(created_after=Ago(1.0)),
    ]
    assert len({each.digest() for each in filters}) == len(filters)
    assert JobFilter(name="a").digest() == JobFilter(name="a").digest()
    assert JobFilter().is_empty
    assert not JobFilter(name="a").is_empty


@pytest.mark.parametrize(
    ("at", "after", "before", "expected"),
    [
        (None, None, None, True),
        (None, 1.0, None, False),
        (1.0, 1.0, None, True),
        (1.0, None, 1.0, False),
        (1.5, 1.0, 2.0, True),
        (0.5, 1.0, 2.0, False),
    ],
)
def test_the_lower_bound_of_a_time_is_included_and_the_upper_is_not(
    at: float | None, after: float | None, before: float | None, *, expected: bool
) -> None:
    assert is_within(at, after, before) is expected
