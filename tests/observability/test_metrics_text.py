"""The text format of Prometheus."""

from jobpools.observability.metrics_text import Metric, counter, gauge, histogram_samples, render
from tests.support.metrics import parse, sample


def test_a_metric_without_labels_has_no_braces() -> None:
    assert render([gauge("jobs_busy", "Slots in use.", 3)]) == (
        "# HELP jobs_busy Slots in use.\n# TYPE jobs_busy gauge\njobs_busy 3\n"
    )


def test_common_labels_precede_the_samples_own() -> None:
    histogram = Metric(
        "seconds", "histogram", "Duration.", histogram_samples([0.5, 1.0], [2, 0, 1], 4.5, {"job": "send"})
    )
    assert render([histogram], {"pool": "default/shop"}).splitlines()[2:] == [
        'seconds_bucket{pool="default/shop",job="send",le="0.5"} 2',
        'seconds_bucket{pool="default/shop",job="send",le="1.0"} 2',
        'seconds_bucket{pool="default/shop",job="send",le="+Inf"} 3',
        'seconds_sum{pool="default/shop",job="send"} 4.5',
        'seconds_count{pool="default/shop",job="send"} 3',
    ]


def test_labels_are_escaped() -> None:
    samples, _ = parse(render([gauge("busy", "Slots in use.", 1)], {"job": 'a"b\\c\nd'}))
    assert sample(samples, "busy", job='a\\"b\\\\c\\nd') == 1


def test_large_values_are_exact() -> None:
    large = [counter("claimed_total", "Jobs.", 123_456_789_012), gauge("start_seconds", "Start.", 1_795_654_321.25)]
    samples, kinds = parse(render(large))
    assert sample(samples, "claimed_total") == 123_456_789_012
    assert sample(samples, "start_seconds") == 1_795_654_321.25
    assert kinds == {"claimed_total": "counter", "start_seconds": "gauge"}
