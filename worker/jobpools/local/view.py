"""What a display of `jobpools up` must offer."""

from typing import Protocol

from jobpools.local.pool_rows import PoolRow
from jobpools.local.reporter import RunReporter
from jobpools.local.run_counts import RunCounts


class View(Protocol):
    """Shows one run to the user."""

    def start(self, reporter: RunReporter, counts: RunCounts) -> None:
        """Begin to show the run."""
        ...

    def notify(self, text: str) -> None:
        """Show a message."""
        ...

    def output(self, process: str, line: str) -> None:
        """Show a line that a worker or the companion command wrote."""
        ...

    def pool_changed(self, row: PoolRow) -> None:
        """Show that a pool's size or problem changed."""
        ...

    def finish(self, summary: str) -> None:
        """Show the last line and stop."""
        ...
