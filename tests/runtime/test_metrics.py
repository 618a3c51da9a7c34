"""The text that Prometheus reads."""

import re

from jobpools.core.jobs.job import OutcomeKind
from jobpools.runtime.metrics import BUCKETS, Metrics

SAMPLE = re.compile(r'^(?P<name>[a-z_]+)\{(?P<labels>(?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*)\} (?P<value>[^ ]+)$')
LABEL = re.compile(r'([a-z]+)="((?:[^"\\\n]|\\["\\n])*)"')
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parse(text: str) -> tuple[Samples, dict[str, str]]:
    """Samples and types; fails where a line is none, a sample has no type, or a sample comes twice."""
    samples: Samples = {}
    kinds: dict[str, str] = {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# "):
            _, what, name, rest = line.split(" ", 3)
            assert what in ("HELP", "TYPE"), line
            assert rest, line
            if what == "TYPE":
                assert name not in kinds, f"{name} has its type twice"
                kinds[name] = rest
            continue
        found = SAMPLE.match(line)
        assert found, line
        family = re.sub(r"_(bucket|sum|count)$", "", found["name"])
        assert family in kinds or found["name"] in kinds, f"{line} has no type"
        key = (found["name"], frozenset(LABEL.findall(found["labels"])))
        assert key not in samples, f"{line} comes twice"
        samples[key] = float(found["value"])
    return samples, kinds


def sample(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(({"pool": "default/shop"} | labels).items())]


def test_counts_durations_and_gauges() -> None:
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

    samples, kinds = parse(metrics.render([("busy", "Slots in use.", 3.0)]))
    assert sample(samples, "jobpools_jobs_total", job="send", outcome="completed") == 4
    assert sample(samples, "jobpools_jobs_total", job="send", outcome="failed") == 1
    assert sample(samples, "jobpools_jobs_total", job="send", outcome="timed_out") == 1
    assert sample(samples, "jobpools_stale_total") == 2
    assert sample(samples, "jobpools_claimed_total") == 9
    assert sample(samples, "jobpools_busy") == 3
    assert kinds["jobpools_job_duration_seconds"] == "histogram"
    name = "jobpools_job_duration_seconds"
    counts = [sample(samples, f"{name}_bucket", job="send", le=str(bound)) for bound in BUCKETS]
    assert counts == sorted(counts)
    assert counts[0] == 1
    assert sample(samples, f"{name}_bucket", job="send", le="0.05") == 3
    assert sample(samples, f"{name}_bucket", job="send", le="+Inf") == 7
    assert sample(samples, f"{name}_count", job="send") == 7
    assert abs(sample(samples, f"{name}_sum", job="send") - 706.0405) < 1e-6


def test_labels_are_escaped() -> None:
    metrics = Metrics("default/shop")
    metrics.tally('a"b\\c\nd').complete(1)
    samples, _ = parse(metrics.render())
    assert sample(samples, "jobpools_jobs_total", job='a\\"b\\\\c\\nd', outcome="completed") == 1


def test_large_counts_are_exact() -> None:
    metrics = Metrics("default/shop")
    metrics.claimed = 123_456_789_012
    samples, _ = parse(metrics.render([("worker_start_time_seconds", "When.", 1_795_654_321.25)]))
    assert sample(samples, "jobpools_claimed_total") == 123_456_789_012
    assert sample(samples, "jobpools_worker_start_time_seconds") == 1_795_654_321.25
