"""What `jobpools up` shows on a terminal: the pools' table and a bar, redrawn in place, news above them."""

import time

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from jobpools.local.reporter import CALM, COLUMNS, GOOD, Board, Row

_BAR = 40


class LiveView:
    """Draws itself four times a second."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._board: Board | None = None
        self._live: Live | None = None

    def begin(self, board: Board) -> None:
        """Take the screen's last lines."""
        self._board = board
        self._live = Live(console=self._console, get_renderable=self._render, refresh_per_second=4, transient=False)
        self._live.start()

    def say(self, text: str) -> None:
        """Above the table."""
        self._print(text)

    def told(self, worker: str, line: str) -> None:
        """Above the table, with the worker's name."""
        self._print((f"{worker} | ", "cyan"), line)

    def _print(self, *parts: str | tuple[str, str]) -> None:
        self._console.print(Text.assemble((time.strftime("%H:%M:%S  "), "dim"), *parts), soft_wrap=True)

    def changed(self, row: Row) -> None:
        """The table shows it."""

    def end(self, text: str) -> None:
        """Leave the last table where it is."""
        if self._live is not None:
            self._live.stop()
        self._console.print(text, soft_wrap=True)

    def _render(self) -> RenderableType:
        board = self._board
        if board is None:
            return ""
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for column in COLUMNS:
            table.add_column(column, justify="left" if column in ("POOL", "REASON") else "right")
        for row in sorted(board.rows.values(), key=lambda each: each.pool):
            *cells, reason = row.cells
            table.add_row(*cells, Text(reason, style=_style(reason)))
        return Group("", table, "", self._bar(board))

    def _bar(self, board: Board) -> RenderableType:
        books, ended, total = board.books, board.ended, board.ended + board.waiting
        took = time.monotonic() - board.started
        figures = f"  {ended} of {total} jobs ended, {books.retried} retried, {books.dead} dead; {took:.1f} s"
        width = max(1, min(_BAR, self._console.width - len(figures)))
        line = Table.grid()
        line.add_row(
            ProgressBar(max(1, total), ended, width=width, complete_style="cyan", finished_style="green"),
            Text(figures, no_wrap=True),
        )
        return line


def _style(reason: str) -> str:
    return "green" if reason in GOOD else "yellow" if reason in CALM else "red"
