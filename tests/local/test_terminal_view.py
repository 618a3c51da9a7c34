"""The display on a terminal, rendered to text."""

import io

from rich.console import Console

from jobpools.local.pool_rows import PoolRow
from jobpools.local.reporter import RunReporter
from jobpools.local.run_counts import RunCounts
from jobpools.local.terminal_view import render
from jobpools.store.ledger import Ledger


def reporter() -> RunReporter:
    return RunReporter(notify=lambda _: None, on_change=lambda _: None)


def drawn(reporter: RunReporter, counts: RunCounts, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as capture:
        console.print(render(reporter, counts, width))
    return [line.rstrip() for line in capture.get().splitlines() if line.strip()]


def test_a_table_of_pools_and_a_progress_bar_that_fits() -> None:
    made, counts = reporter(), RunCounts()
    made.rows["default/photos"] = PoolRow("photos", ready=1, desired=2, busy=1, queued=30, oldest=4, reason="ScalingUp")
    made.rows["default/emails"] = PoolRow("emails", reason="QueuesUnknown")
    # Four jobs are older than the run: their end counts.
    counts.update({"emails": Ledger(enqueued=4, ready=4)})
    counts.update({"emails": Ledger(enqueued=44, completed=10, dead=2, failed=5, died=2, ready=32)})
    for width in (80, 120):
        lines = drawn(made, counts, width)
        assert lines[:3] == [
            "POOL    READY  DESIRED  BUSY  QUEUED  OLDEST  REASON",
            "emails                                        QueuesUnknown",
            "photos      1        2     1      30      4s  ScalingUp",
        ]
        assert "  12 of 44 jobs ended, 3 retried, 2 dead; " in lines[3]
        assert len(lines) == 4


def test_the_progress_bar_without_jobs() -> None:
    assert "0 of 0 jobs ended" in drawn(reporter(), RunCounts(), 80)[-1]
