"""Counters of a worker, and the metrics that they make."""

import pytest

from jobpools.core.jobs.job import OutcomeKind
from jobpools.observability.metrics_text import render
from jobpools.runtime.metrics import BUCKETS, Metrics
from jobpools.runtime.waits import SAMPLES, Waits
from jobpools.store.job_ids import new_id
from jobpools.store.step import StepReply
from tests.support.metrics import parse, sample


def test_attempts_are_counted_by_job_and_outcome() -> None:
    metrics = Metrics("default/shop")
    tally = metrics.tally("send", "emails")
    assert metrics.tally("send", "emails") is tally
    for seconds in (0.00005, 0.02, 0.0625, 700):
        tally.complete(seconds)
    tally.end(OutcomeKind.FAILED, 1.0)
    tally.end(OutcomeKind.TIMED_OUT, 2.0)
    tally.end(OutcomeKind.INTERRUPTED, 3.0)
    metrics.stale, metrics.claimed = 2, 9
    assert (metrics.completed, metrics.failed) == (4, 2)

    samples, kinds = parse(render(metrics.collect()))
    assert sample(samples, "jobpools_jobs_total", queue="emails", job="send", outcome="completed") == 4
    assert sample(samples, "jobpools_jobs_total", queue="emails", job="send", outcome="failed") == 1
    assert sample(samples, "jobpools_jobs_total", queue="emails", job="send", outcome="timed_out") == 1
    assert sample(samples, "jobpools_stale_total") == 2
    assert sample(samples, "jobpools_claimed_total") == 9
    name = "jobpools_job_duration_seconds"
    assert kinds[name] == "histogram"
    counts = [sample(samples, f"{name}_bucket", queue="emails", job="send", le=str(bound)) for bound in BUCKETS]
    assert counts == sorted(counts)
    assert counts[0] == 1
    assert sample(samples, f"{name}_bucket", queue="emails", job="send", le="0.0625") == 3
    assert sample(samples, f"{name}_bucket", queue="emails", job="send", le="+Inf") == 7
    assert sample(samples, f"{name}_count", queue="emails", job="send") == 7
    assert abs(sample(samples, f"{name}_sum", queue="emails", job="send") - 706.08255) < 1e-6


def claimed(*ids: bytes, now: float, since: list[bytes | None] | None = None) -> StepReply:
    return StepReply(
        list(ids), [], [], [], -1, draining=False, left=0, now=now, dropped=0, paused=False, since=since or []
    )


def test_waits_are_counted_by_queue_from_the_time_in_the_id_or_the_stored_one() -> None:
    metrics = Metrics("default/shop")
    waits = metrics.waits_of("emails")
    waits.observe(claimed(new_id(100.0, bytes(10)).encode(), now=100.2))
    waits.observe(claimed(b"order-7", b"order-8", now=100.2, since=[b"99200", None]))
    assert waits.seconds == pytest.approx(1.2)
    samples, kinds = parse(render(metrics.collect()))
    name = "jobpools_job_wait_seconds"
    assert kinds[name] == "histogram"
    assert sample(samples, f"{name}_bucket", queue="emails", le="0.25") == 1
    assert sample(samples, f"{name}_count", queue="emails") == 2


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 7, 8, 9, 1000])
def test_each_claimed_job_counts_once_whatever_is_sampled(number: int) -> None:
    waits = Waits()
    ids = [new_id(100.0 + 0.001 * i, bytes(10)).encode() for i in range(number)]
    waits.observe(claimed(*ids, now=110.0))
    assert sum(waits.buckets) == number
    assert sum(count > 0 for count in waits.buckets) <= SAMPLES
    exact = sum(110.0 - (100.0 + 0.001 * i) for i in range(number))
    assert waits.seconds == pytest.approx(exact, abs=0.001 * number)


def test_a_producer_whose_clock_is_ahead_makes_no_negative_wait() -> None:
    waits = Waits()
    waits.observe(claimed(new_id(100.5, bytes(10)).encode(), now=100.0))
    assert (waits.buckets[0], waits.seconds) == (1, 0.0)
