"""The file of a plot: checked before there is anything to draw, and written at the end."""

from pathlib import Path
from typing import Any

from jobpools.errors import ConfigurationError

DPI = 130
"""Pixels per inch."""


def check(path: Path) -> None:
    """Check before the run that a plot can be drawn after it. Raises ConfigurationError."""
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise ConfigurationError("--plot: matplotlib is not installed; run pip install 'jobpools[plot]'") from error
    mpl.use("Agg")
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    suffix = path.suffix.removeprefix(".").lower()
    if suffix and suffix not in FigureCanvasAgg.get_supported_filetypes():
        raise ConfigurationError(f"--plot {path}: unknown type of file; use a name that ends in .png")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ConfigurationError(f"--plot {path}: the folder {folder} does not exist; create it first")


def save(figure: Any, path: Path) -> None:
    """Write a figure to its file and close it. Raises ConfigurationError if the file cannot be written."""
    import matplotlib.pyplot as plt

    try:
        figure.savefig(path, dpi=DPI)
    except OSError as error:
        raise ConfigurationError(f"--plot {path}: cannot be written: {error.strerror}; name another file") from error
    finally:
        plt.close(figure)
