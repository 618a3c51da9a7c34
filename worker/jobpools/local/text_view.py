"""What `jobpools up` shows where there is no terminal: a line for each change."""

import logging
import sys
import time
import traceback
from typing import Protocol, TextIO

from jobpools.local.reporter import Board, Row


class View(Protocol):
    """Who shows a run."""

    def begin(self, board: Board) -> None:
        """The run begins."""
        ...

    def say(self, text: str) -> None:
        """Something happened."""
        ...

    def told(self, worker: str, line: str) -> None:
        """A worker wrote a line."""
        ...

    def changed(self, row: Row) -> None:
        """A pool wants another size, has reached it, or is in trouble."""
        ...

    def end(self, text: str) -> None:
        """The run is over; `text` is the last line."""
        ...


class Lines:
    """Plain text, one line a change."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout

    def begin(self, board: Board) -> None:
        """Nothing to prepare."""

    def say(self, text: str) -> None:
        """With the time before it."""
        self._print(f"{time.strftime('%H:%M:%S')}  {text}")

    def told(self, worker: str, line: str) -> None:
        """With the time and the worker's name before it."""
        self.say(f"{worker} | {line}")

    def changed(self, row: Row) -> None:
        """The figures in words."""
        self.say(described(row))

    def end(self, text: str) -> None:
        """As it is."""
        self._print(text)

    def _print(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()


class Log(logging.Handler):
    """What the loop's own log says at ERROR goes to the view: bugs, mostly. What is below that, the board tells."""

    def __init__(self, view: View) -> None:
        super().__init__(logging.ERROR)
        self._view = view

    def emit(self, record: logging.LogRecord) -> None:
        """The message; of an exception its end and where it was raised."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            frames = traceback.extract_tb(error.__traceback__)
            where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
            text = f"{text}: {type(error).__name__}: {error}{where}"
        self._view.say(text)


def described(row: Row) -> str:
    """One line of one pool; what is unknown is shown as `?`."""
    ready, desired, busy, queued = (
        "?" if each is None else each for each in (row.ready, row.desired, row.busy, row.queued)
    )
    wanted = "" if ready == desired else f", {desired} wanted"
    workers = "1 worker" if ready == 1 else f"{ready} workers"
    return f"{row.pool}: {workers}{wanted}; {busy} busy, {queued} queued ({row.reason})"
