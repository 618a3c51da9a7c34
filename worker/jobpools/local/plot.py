"""Queue depth and workers over time as a PNG, one panel a pool."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jobpools.errors import ConfigurationError
from jobpools.local.reporter import Sample

WIDTH, PANEL_HEIGHT, REST_HEIGHT = 9.0, 1.9, 1.3
"""Inches."""
_QUEUED, _BUSY, _WORKERS = "#9ec5e8", "#2f6fab", "#d9622b"


def check(path: Path) -> None:
    """Raises ConfigurationError now rather than after the run."""
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise ConfigurationError("--plot needs matplotlib: pip install 'jobpools[plot]'") from error
    mpl.use("Agg")
    if not path.absolute().parent.is_dir():
        raise ConfigurationError(f"--plot {path}: there is no folder {path.absolute().parent}")


def draw(samples: Mapping[str, Sequence[Sample]], path: Path, title: str, seconds: float) -> None:
    """Write the PNG of a run that lasted so long; a sample holds until the next one.

    Raises ConfigurationError when it cannot be written.
    """
    import matplotlib.pyplot as plt

    pools = sorted(name for name, found in samples.items() if found)
    rows = max(1, len(pools))
    figure, axes = plt.subplots(
        rows, 1, figsize=(WIDTH, PANEL_HEIGHT * rows + REST_HEIGHT), sharex=True, squeeze=False, layout="constrained"
    )
    handles: list[Any] = []
    for pool, (left,) in zip(pools, axes, strict=False):
        handles = _panel(left, pool, [*samples[pool], replace(samples[pool][-1], at=seconds)])
    axes[-1][0].set_xlabel("seconds since the start")
    axes[-1][0].set_xlim(left=0, right=seconds)
    figure.suptitle(title, fontsize=11)
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    try:
        figure.savefig(path, dpi=130)
    except OSError as error:
        raise ConfigurationError(f"--plot {path}: cannot be written: {error.strerror}") from error
    finally:
        plt.close(figure)


def _panel(left: Any, pool: str, samples: Sequence[Sample]) -> list[Any]:
    """Jobs on the left axis, workers on the right one; returns what the legend explains."""
    from matplotlib.ticker import MaxNLocator

    at = [sample.at for sample in samples]
    busy = [sample.busy for sample in samples]
    waiting = [sample.busy + sample.queued for sample in samples]
    running = left.fill_between(at, busy, step="post", color=_BUSY, linewidth=0, label="jobs running")
    queued = left.fill_between(at, waiting, busy, step="post", color=_QUEUED, linewidth=0, label="jobs queued")
    right = left.twinx()
    workers = [sample.workers for sample in samples]
    (line,) = right.step(at, workers, where="post", color=_WORKERS, linewidth=1.8, label="workers ready")
    left.set_title(
        f"{pool}: up to {_count(max(waiting), 'job')}, {_count(max(workers), 'worker')}", loc="left", fontsize=10
    )
    left.set_ylabel("jobs")
    right.set_ylabel("workers", color=_WORKERS)
    right.tick_params(axis="y", colors=_WORKERS)
    for axis, highest in ((left, max(waiting)), (right, max(workers))):
        axis.set_ylim(0, max(1.0, highest * 1.15))
        axis.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
        axis.spines["top"].set_visible(False)
    left.grid(axis="y", color="#dddddd", linewidth=0.6)
    left.set_axisbelow(True)
    return [queued, running, line]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
