"""The display of `jobpools up` on a terminal: a table and a progress bar that are redrawn below the messages."""

import time

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from jobpools.local.pool_rows import COLUMNS, HEALTHY, TRANSIENT, PoolRow
from jobpools.local.reporter import RunReporter
from jobpools.local.run_counts import RunCounts

_BAR_WIDTH = 40
"""Maximum width of the progress bar, in characters."""
_REDRAWS_PER_SECOND = 4
_LEFT_ALIGNED = ("POOL", "REASON")


class TerminalView:
    """Draws the pools of a run in the last lines of the terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._live: Live | None = None

    def start(self, reporter: RunReporter, counts: RunCounts) -> None:
        """Begin to redraw the terminal's last lines."""
        self._live = Live(
            console=self._console,
            get_renderable=lambda: render(reporter, counts, self._console.width),
            refresh_per_second=_REDRAWS_PER_SECOND,
            transient=False,
        )
        self._live.start()

    def notify(self, text: str) -> None:
        """Print the message above the table."""
        self._print(text)

    def output(self, process: str, line: str) -> None:
        """Print the line above the table, after the name of its process."""
        self._print((f"{process} | ", "cyan"), line)

    def pool_changed(self, row: PoolRow) -> None:
        """Do nothing: the table shows it."""

    def finish(self, summary: str) -> None:
        """Leave the last table on the terminal and print the summary."""
        if self._live is not None:
            self._live.stop()
        self._console.print(summary, soft_wrap=True)

    def _print(self, *parts: str | tuple[str, str]) -> None:
        self._console.print(Text.assemble((time.strftime("%H:%M:%S  "), "dim"), *parts), soft_wrap=True)


def render(reporter: RunReporter, counts: RunCounts, width: int) -> RenderableType:
    """Return the table of pools and the progress bar, for a terminal of this width."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in _LEFT_ALIGNED else "right")
    for row in sorted(reporter.rows.values(), key=lambda each: each.pool):
        *cells, reason = row.cells
        table.add_row(*cells, Text(reason, style=_style(reason)))
    return Group("", table, "", _progress(reporter, counts, width))


def _progress(reporter: RunReporter, counts: RunCounts, width: int) -> RenderableType:
    ended, total = counts.ended, counts.ended + counts.unfinished
    figures = (
        f"  {ended} of {total} jobs ended, {counts.total.retried} retried, {counts.total.dead} dead; "
        f"{reporter.elapsed():.1f} s"
    )
    bar_width = max(1, min(_BAR_WIDTH, width - len(figures)))
    line = Table.grid()
    line.add_row(
        ProgressBar(max(1, total), ended, width=bar_width, complete_style="cyan", finished_style="green"),
        Text(figures, no_wrap=True),
    )
    return line


def _style(reason: str) -> str:
    return "green" if reason in HEALTHY else "yellow" if reason in TRANSIENT else "red"
