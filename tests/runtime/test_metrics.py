"""Counters of a worker, and the metrics that they make."""

from jobpools.core.jobs.job import OutcomeKind
from jobpools.observability.metrics_text import render
from jobpools.runtime.metrics import BUCKETS, Metrics
from tests.support.metrics import parse, sample


def test_attempts_are_counted_by_job_and_outcome() -> None:
    metrics = Metrics("default/shop")
    tally = metrics.tally("send")
    assert metrics.tally("send") is tally
    for seconds in (0.0005, 0.02, 0.02, 700):
        tally.complete(seconds)
    tally.end(OutcomeKind.FAILED, 1.0)
    tally.end(OutcomeKind.TIMED_OUT, 2.0)
    tally.end(OutcomeKind.INTERRUPTED, 3.0)
    metrics.stale, metrics.claimed = 2, 9
    assert (metrics.completed, metrics.failed) == (4, 2)

    samples, kinds = parse(render(metrics.collect()))
    assert sample(samples, "jobpools_jobs_total", job="send", outcome="completed") == 4
    assert sample(samples, "jobpools_jobs_total", job="send", outcome="failed") == 1
    assert sample(samples, "jobpools_jobs_total", job="send", outcome="timed_out") == 1
    assert sample(samples, "jobpools_stale_total") == 2
    assert sample(samples, "jobpools_claimed_total") == 9
    name = "jobpools_job_duration_seconds"
    assert kinds[name] == "histogram"
    counts = [sample(samples, f"{name}_bucket", job="send", le=str(bound)) for bound in BUCKETS]
    assert counts == sorted(counts)
    assert counts[0] == 1
    assert sample(samples, f"{name}_bucket", job="send", le="0.05") == 3
    assert sample(samples, f"{name}_bucket", job="send", le="+Inf") == 7
    assert sample(samples, f"{name}_count", job="send") == 7
    assert abs(sample(samples, f"{name}_sum", job="send") - 706.0405) < 1e-6
