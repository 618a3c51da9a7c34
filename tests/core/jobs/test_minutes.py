"""Summaries of the minutes of a queue's history."""

import pytest

from jobpools.core.histogram import Histogram
from jobpools.core.jobs.minutes import Counts, Minute, States, spans, summarize

START = 30_000_000
"""Minutes since the epoch."""


def minute(offset: int, completed: int = 0, **more: int) -> Minute:
    return Minute(
        START + offset,
        Counts(completed=completed, failed=more.get("failed", 0), crashed=more.get("crashed", 0)),
        States(queued=more.get("queued", 0), running=2),
        busy=30.0,
        slots=120.0,
        waiting=Histogram(buckets={3: completed}),
        running=Histogram(buckets={40: completed}),
    )


def test_counts_are_added_states_are_the_highest_and_histograms_are_merged() -> None:
    minutes = [minute(0, 10, queued=7), minute(1, 30, failed=8, crashed=2, queued=3), minute(9, 500)]
    found = summarize(minutes, START, START + 5, now=(START + 100) * 60.0)
    assert (found.recorded, found.seconds) == (2, 300.0)
    assert found.counts == Counts(completed=40, failed=8, crashed=2)
    assert found.states == States(queued=7, running=2)
    assert (found.waiting.count, found.running.count) == (40, 40)
    assert found.utilisation == 0.25
    assert found.failure_rate == 0.2
    assert found.rate == pytest.approx(40 / 300)


def test_what_no_worker_recorded_is_unknown_and_not_zero() -> None:
    found = summarize([], START, START + 5, now=(START + 100) * 60.0)
    assert (found.recorded, found.states, found.utilisation, found.failure_rate) == (0, None, None, None)
    assert found.waiting.quantile(0.5) is None


def test_the_rate_of_the_current_minute_is_that_of_its_elapsed_seconds() -> None:
    found = summarize([minute(0, 60)], START, START + 1, now=START * 60.0 + 20)
    assert (found.seconds, found.rate) == (20.0, 3.0)


@pytest.mark.parametrize(
    ("length", "step", "lengths"),
    [(6, 2, [120, 120, 90]), (5, 2, [120, 120, 30]), (5, 60, [270]), (1, 1, [30])],
)
def test_spans_cover_the_time_to_now_without_a_gap(length: int, step: int, lengths: list[int]) -> None:
    now = (START + length - 1) * 60.0 + 30
    found = spans([minute(at, 1) for at in range(length)], START, now, step)
    assert [span.seconds for span in found] == lengths
    assert [span.start for span in found] == [START * 60.0 + step * 60 * i for i in range(len(found))]
    assert sum(span.counts.completed for span in found) == length
