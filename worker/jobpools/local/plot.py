"""A PNG of queue depth and workers over time, with one panel per pool."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jobpools.core.text.plurals import count_of
from jobpools.local import plot_file
from jobpools.local.reporter import Sample

WIDTH = 9.0
"""Inches."""
PANEL_HEIGHT = 1.9
"""Inches of one pool's panel."""
FRAME_HEIGHT = 1.3
"""Inches of title, legend and axis label."""
_QUEUED, _BUSY, _WORKERS = "#9ec5e8", "#2f6fab", "#d9622b"


def draw(samples: Mapping[str, Sequence[Sample]], path: Path, title: str, seconds: float) -> None:
    """Write the PNG.

    Args:
        samples: Samples of each pool, by its name; a sample holds until the next one.
        path: The file that is written.
        title: Text above the panels.
        seconds: How long the run lasted.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    import matplotlib.pyplot as plt

    pools = sorted(name for name, found in samples.items() if found)
    rows = max(1, len(pools))
    panels: tuple[Any, Any] = plt.subplots(
        rows, 1, figsize=(WIDTH, PANEL_HEIGHT * rows + FRAME_HEIGHT), sharex=True, squeeze=False, layout="constrained"
    )
    figure, axes = panels  # Any: matplotlib's own types are partial
    handles: list[Any] = []
    for pool, (left,) in zip(pools, axes, strict=False):
        handles = _draw_panel(left, pool, [*samples[pool], replace(samples[pool][-1], at=seconds)])
    axes[-1][0].set_xlabel("seconds since the start")
    axes[-1][0].set_xlim(left=0, right=seconds)
    figure.suptitle(title, fontsize=11)
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    plot_file.save(figure, path)


def _draw_panel(left: Any, pool: str, samples: Sequence[Sample]) -> list[Any]:
    """Draw jobs on the left axis and workers on the right one; return the legend's entries."""
    from matplotlib.ticker import MaxNLocator

    at = [sample.at for sample in samples]
    busy = [sample.busy for sample in samples]
    jobs = [sample.busy + sample.queued for sample in samples]
    running = left.fill_between(at, busy, step="post", color=_BUSY, linewidth=0, label="jobs running")
    queued = left.fill_between(at, jobs, busy, step="post", color=_QUEUED, linewidth=0, label="jobs queued")
    right = left.twinx()
    workers = [sample.workers for sample in samples]
    (line,) = right.step(at, workers, where="post", color=_WORKERS, linewidth=1.8, label="workers ready")
    title = f"{pool}: up to {count_of(max(jobs), 'job')}, {count_of(max(workers), 'worker')}"
    left.set_title(title, loc="left", fontsize=10)
    left.set_ylabel("jobs")
    right.set_ylabel("workers", color=_WORKERS)
    right.tick_params(axis="y", colors=_WORKERS)
    for axis, highest in ((left, max(jobs)), (right, max(workers))):
        axis.set_ylim(0, max(1.0, highest * 1.15))
        axis.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
        axis.spines["top"].set_visible(False)
    left.grid(axis="y", color="#dddddd", linewidth=0.6)
    left.set_axisbelow(True)
    return [queued, running, line]
