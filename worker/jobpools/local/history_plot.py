"""A PNG of the history of queues: for each queue its rates and depth, and the latencies of its jobs."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jobpools.core.histogram import Histogram
from jobpools.core.jobs.minutes import QUANTILES, Summary
from jobpools.core.text.durations import format_latency
from jobpools.local import plot_file

WIDTH = 12.0
"""Inches."""
PANEL_HEIGHT = 2.2
"""Inches of one queue's panels."""
FRAME_HEIGHT = 1.3
"""Inches of title, legend and axis label."""
POINTS = 180
"""Maximum number of points of a line."""
QUEUES = 12
"""Maximum number of queues that are drawn: those with the most completed jobs."""
_QUEUED, _COMPLETED, _FAILED, _WAITING, _RUNNING = "#c9def0", "#2f6fab", "#c0392b", "#d9822b", "#3a7d44"
_STYLES = (":", "--", "-")
"""Line styles of the quantiles."""


def step_of(length: int) -> int:
    """Return the minutes of one point in a plot of `length` minutes, at most KEPT."""
    return next(step for step in (1, 2, 5, 10) if length / step <= POINTS)


def draw(queues: Mapping[str, Sequence[Summary]], path: Path, period: str) -> None:
    """Write the PNG; `period` says in the title which time it shows.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    import matplotlib.pyplot as plt
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    shown = sorted(queues, key=lambda queue: -sum(span.counts.completed for span in queues[queue]))[:QUEUES]
    rows = max(1, len(shown))
    panels: tuple[Any, Any] = plt.subplots(
        rows, 2, figsize=(WIDTH, PANEL_HEIGHT * rows + FRAME_HEIGHT), sharex=True, squeeze=False, layout="constrained"
    )
    figure, axes = panels  # Any: matplotlib's own types are partial
    handles: list[Any] = []
    for queue, (rates, latencies) in zip(shown, axes, strict=False):
        handles = _draw_rates(rates, queue, queues[queue]) + _draw_latencies(latencies, queues[queue])
    left_out = f"; the {rows} busiest of {len(queues)} queues" if len(queues) > rows else ""
    figure.suptitle(f"{period} (UTC){left_out}", fontsize=11)
    if shown:
        spans = queues[shown[0]]
        axes[0][0].set_xlim(_times(spans)[0], datetime.fromtimestamp(spans[-1].start + spans[-1].seconds, UTC))
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]  # it has no types
    for axis in axes[-1]:
        axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # it has no types
        axis.xaxis.set_major_locator(locator)
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=6, frameon=False, fontsize=8)
    plot_file.save(figure, path)


def _times(spans: Sequence[Summary]) -> list[datetime]:
    return [datetime.fromtimestamp(span.start, UTC) for span in spans]


def _draw_rates(axis: Any, queue: str, spans: Sequence[Summary]) -> list[Any]:
    """Draw jobs per minute on the left axis and queued jobs on the right one; return the legend's entries."""
    from matplotlib.ticker import MaxNLocator

    at = _times(spans)
    depth = axis.twinx()
    queued = [float("nan") if span.states is None else float(span.states.queued) for span in spans]
    width = timedelta(seconds=max(span.seconds for span in spans))
    area = depth.bar(at, queued, width, align="edge", color=_QUEUED, linewidth=0, label="queued, highest (right)")
    lines: list[Any] = []
    for color, word in ((_COMPLETED, "completed"), (_FAILED, "failed")):
        values = [getattr(span.counts, word) / span.seconds * 60 if span.recorded else float("nan") for span in spans]
        lines += axis.plot(
            at, values, "-", marker=".", markersize=3, color=color, linewidth=1.3, label=f"{word} per minute"
        )
    depth.set_ylim(top=max(1.0, 1.1 * max((span.states.queued for span in spans if span.states), default=0)))
    depth.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axis.set_zorder(depth.get_zorder() + 1)
    axis.patch.set_visible(False)
    axis.set_title(queue, loc="left", fontsize=10)
    axis.set_ylabel("jobs/min")
    for each in (axis, depth):
        each.set_ylim(bottom=0)
        each.spines["top"].set_visible(False)
    return [area, *lines]


def _draw_latencies(axis: Any, spans: Sequence[Summary]) -> list[Any]:
    """Draw the quantiles of waiting and running, on a logarithmic axis; return the legend's entries."""
    from matplotlib.ticker import NullFormatter

    at = _times(spans)
    lines: list[Any] = []
    for color, word in ((_WAITING, "waiting"), (_RUNNING, "running")):
        for share, style in zip(QUANTILES, _STYLES, strict=True):
            values = [_value(getattr(span, word), share) for span in spans]
            label = f"{word} p{share * 100:.0f}"
            lines += axis.plot(at, values, style, marker=".", markersize=3, color=color, linewidth=1.1, label=label)
    axis.set_yscale("log")
    axis.set_title("time of waiting and running", loc="left", fontsize=10)
    axis.yaxis.set_major_formatter(_tick)
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.grid(axis="y", color="#dddddd", linewidth=0.6)
    axis.spines["top"].set_visible(False)
    return lines


def _tick(seconds: float, position: int | None) -> str:
    """Return the label of a tick; the two arguments are matplotlib's."""
    del position
    return format_latency(seconds)


def _value(histogram: Histogram, share: float) -> float:
    """Return a quantile in seconds; nan, which is not drawn, if there is none."""
    found = histogram.quantile(share)
    return float("nan") if found is None else found
