"""The display of `jobpools up` without a terminal: one line for each change."""

import sys
import time
from typing import TextIO

from jobpools.core.text.plurals import count_of
from jobpools.local.pool_rows import PoolRow
from jobpools.local.reporter import RunReporter
from jobpools.local.run_counts import RunCounts


class TextView:
    """Writes lines of plain text that begin with the time of day."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout

    def start(self, reporter: RunReporter, counts: RunCounts) -> None:
        """Do nothing: each line comes with its event."""

    def notify(self, text: str) -> None:
        """Write the message."""
        self._write(f"{time.strftime('%H:%M:%S')}  {text}")

    def output(self, process: str, line: str) -> None:
        """Write the line after the name of its process."""
        self.notify(f"{process} | {line}")

    def pool_changed(self, row: PoolRow) -> None:
        """Write the pool's figures."""
        self.notify(describe(row))

    def finish(self, summary: str) -> None:
        """Write the last line, without the time."""
        self._write(summary)

    def _write(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()


def describe(row: PoolRow) -> str:
    """Return the figures of a pool in one line; `?` stands for an unknown figure."""
    desired, busy, queued = ("?" if each is None else each for each in (row.desired, row.busy, row.queued))
    workers = "? workers" if row.ready is None else count_of(row.ready, "worker")
    target = "" if row.ready == row.desired else f", {desired} desired"
    return f"{row.pool}: {workers}{target}; {busy} busy, {queued} queued ({row.reason})"
