"""A log handler whose destination is chosen once: the application's changes to sys.stderr do not affect it."""

import contextlib
import errno
import io
import logging
import os
import select
from typing import Any

FULL_PIPE_TIMEOUT = 1.0
"""Maximum seconds to wait for the reader of a full non-blocking pipe; then the line is dropped."""
_STDERR = 2


class LogOutput:
    """A stream with a file descriptor of its own."""

    def __init__(self, stream: Any) -> None:
        self._stream: Any = stream
        self._descriptor = _duplicate(stream)

    def write(self, line: str) -> None:
        """Write one line. A closed stream, or one without a reader, is not an error."""
        if self._descriptor is None:
            with contextlib.suppress(Exception):  # a stream of the application: it may raise anything
                self._stream.write(f"{line}\n")
                self._stream.flush()
            return
        data = f"{line}\n".encode(errors="backslashreplace")
        with contextlib.suppress(OSError):
            try:
                _write(self._descriptor, data)
            except OSError as error:
                if error.errno != errno.EBADF:
                    raise
                _write(_STDERR, data)  # a job closed all descriptors, as programs do that become daemons

    def close(self) -> None:
        """Close the descriptor; the stream stays open."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor, self._stream = None, None


class LogOutputHandler(logging.Handler):
    """A log handler that writes to a LogOutput. It takes no lock: a line is one write."""

    def __init__(self, output: LogOutput, formatter: logging.Formatter) -> None:
        super().__init__()
        self._output = output
        self.formatter = formatter

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record. A record that cannot be formatted is written as its format string."""
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001  # formatting a record's arguments runs arbitrary code
            line = f"{record.name}  {record.msg!s} (formatting its arguments failed: {type(error).__name__})"
        self._output.write(line)


def _duplicate(stream: Any) -> int | None:
    """Return a new descriptor of the stream's file; None if the object is not a file."""
    if not isinstance(stream, io.TextIOWrapper):
        return None
    try:
        return os.dup(stream.fileno())
    except (OSError, ValueError):
        return None


def _write(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            if not select.select([], [descriptor], [], FULL_PIPE_TIMEOUT)[1]:
                return  # no reader: a lost line is better than a blocked process
