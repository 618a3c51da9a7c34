"""What a terminal shows, drawn without one."""

import io

from rich.console import Console

from jobpools.local.reporter import Board, Row
from jobpools.local.terminal_view import LiveView
from jobpools.store.ledger import Ledger


def drawn(board: Board, width: int) -> list[str]:
    view = LiveView()
    view._console = Console(file=io.StringIO(), width=width)
    view._board = board
    with view._console.capture() as capture:
        view._console.print(view._render())
    return [line.rstrip() for line in capture.get().splitlines() if line.strip()]


def test_pools_and_a_bar_that_fits() -> None:
    board = Board(lambda _: None, lambda _: None)
    board.rows["default/photos"] = Row("photos", ready=1, desired=2, busy=1, queued=30, oldest=4, reason="ScalingUp")
    board.rows["default/emails"] = Row("emails", reason="QueuesUnknown")
    # Four jobs were there before the run: they count where they end.
    board.books, board.waiting = Ledger(enqueued=40, completed=10, dead=2, failed=5, died=2, ready=32), 32
    for width in (80, 120):
        lines = drawn(board, width)
        assert lines[:3] == [
            "POOL    READY  DESIRED  BUSY  QUEUED  OLDEST  REASON",
            "emails                                        QueuesUnknown",
            "photos      1        2     1      30      4s  ScalingUp",
        ]
        assert "  12 of 44 jobs ended, 3 retried, 2 dead; " in lines[3]
        assert len(lines) == 4


def test_nothing_to_do_yet() -> None:
    lines = drawn(Board(lambda _: None, lambda _: None), 80)
    assert "0 of 0 jobs ended" in lines[-1]
