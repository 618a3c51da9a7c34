"""The text format of Prometheus, version 0.0.4.

prometheus-client is not used: its counters cost ten times as much on the path of every job, and the format is short.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
NO_LABELS: Final[Mapping[str, str]] = {}


class Sample(NamedTuple):
    """One value of a metric."""

    value: float
    labels: Mapping[str, str] = NO_LABELS
    suffix: str = ""
    """Appended to the metric's name: `_bucket`, `_sum` and `_count` of a histogram."""


class Metric(NamedTuple):
    """One metric with all its samples."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    description: str
    samples: Sequence[Sample]


def counter(name: str, description: str, value: float) -> Metric:
    """Return a counter with one value."""
    return Metric(name, "counter", description, [Sample(value)])


def gauge(name: str, description: str, value: float) -> Metric:
    """Return a gauge with one value."""
    return Metric(name, "gauge", description, [Sample(value)])


def histogram_samples(
    bounds: Sequence[float], counts: Sequence[int], total: float, labels: Mapping[str, str]
) -> list[Sample]:
    """Return the samples of one histogram.

    Args:
        bounds: The buckets' upper bounds, ascending, without infinity.
        counts: The number of observations in each bucket; the last one is above all bounds.
        total: The sum of all observations.
        labels: The labels of the histogram.
    """
    samples: list[Sample] = []
    cumulated = 0
    for bound, count in zip([*map(str, bounds), "+Inf"], counts, strict=True):
        cumulated += count
        samples.append(Sample(cumulated, {**labels, "le": bound}, "_bucket"))
    return [*samples, Sample(total, labels, "_sum"), Sample(cumulated, labels, "_count")]


def render(metrics: Iterable[Metric], labels: Mapping[str, str] = NO_LABELS) -> str:
    """Return the metrics as text; each sample has these labels before its own."""
    return "".join(f"{line}\n" for metric in metrics for line in _lines(metric, labels))


def _lines(metric: Metric, labels: Mapping[str, str]) -> Iterator[str]:
    yield f"# HELP {metric.name} {metric.description}"
    yield f"# TYPE {metric.name} {metric.kind}"
    for sample in metric.samples:
        pairs = ",".join(f'{key}="{_escaped(value)}"' for key, value in {**labels, **sample.labels}.items())
        yield f"{metric.name}{sample.suffix}{f'{{{pairs}}}' if pairs else ''} {sample.value!r}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
