"""The log of a worker process on stderr: one line a record, for people or for machines.

The worker's own lines (loggers `jobpools` and below) do not depend on how the app configures `logging`. While `owned`
lasts, those loggers write to a stream that was chosen when the worker started; levels, handlers, filters and switches
of the app reach them no more. The app's own lines go where the app sends them, or to the same stream if it configured
nothing.
"""

import contextlib
import errno
import io
import json
import logging
import os
import select
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, Literal

Form = Literal["text", "json"]
TEXT = "%(asctime)s %(levelname)-7s %(name)s  %(message)s"
PASSED_ON = "%(levelname)s  %(message)s"
"""Where somebody puts the time and who we are before each line."""
STALLED = 1.0
"""Seconds that a line waits for a reader of a full pipe that does not block."""
_STDERR = 2
_TREE = "jobpools"
_NAMES = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error"}


class JsonLines(logging.Formatter):
    """time (RFC 3339, UTC), level, logger, message, and error where there is an exception."""

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object without line breaks."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": "critical" if record.levelno >= logging.CRITICAL else _NAMES.get(record.levelno, "info"),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_text or record.exc_info:
            line["error"] = record.exc_text or self.formatException(record.exc_info)  # type: ignore[arg-type]  # one is
        return json.dumps(line, ensure_ascii=False)


class Output:
    """A stream that is chosen once, with its own descriptor: the app's changes to sys.stderr do not affect it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._descriptor = _duplicate(stream)

    def write(self, text: str) -> None:
        """Write one text and a line break; a closed stream, or one without a reader, is not an error."""
        if self._descriptor is None:
            with contextlib.suppress(Exception):  # a stream of the app's: it may raise anything
                self._stream.write(f"{text}\n")
                self._stream.flush()
            return
        data = f"{text}\n".encode(errors="backslashreplace")
        with contextlib.suppress(OSError):
            try:
                _write(self._descriptor, data)
            except OSError as error:
                if error.errno != errno.EBADF:
                    raise
                _write(_STDERR, data)  # code of a job has closed it, as programs do that become daemons

    def close(self) -> None:
        """Give the descriptor back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor, self._stream = None, None


class Lines(logging.Handler):
    """A handler that writes to an Output. Without a lock: a line is one write."""

    def __init__(self, output: Output, formatter: logging.Formatter) -> None:
        super().__init__()
        self._output = output
        self.formatter = formatter

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record. A record that cannot be formatted is written as its format string."""
        try:
            text = self.format(record)
        except Exception as error:  # noqa: BLE001  # formatting a record's arguments runs arbitrary code
            text = f"{record.name}  {record.msg!s} (its arguments cannot be shown: {type(error).__name__})"
        self._output.write(text)


class WorkerLogger(logging.Logger):
    """A logger of the worker's own lines: each is written once, whatever the app does to `logging`.

    `disabled`, `propagate`, filters, `logging.disable` and levels above the worker's own are without effect. A lower
    level (DEBUG) shows more. Handlers that the app gave to this logger by name get the lines as well, but for those
    that write to the terminal: the line is there already.
    """

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # logging's name
        """Return whether a line of this level is written."""
        return level >= self.getEffectiveLevel()

    def getEffectiveLevel(self) -> int:  # noqa: N802  # as above
        """Return the worker's level, or a lower one that was set on this logger or on `jobpools`."""
        above = self.parent if isinstance(self.parent, WorkerLogger) else self
        return min(each for each in (_owner.level, self.level, above.level) if each)

    def handle(self, record: logging.LogRecord) -> None:
        """Write the record."""
        if _owner.lines is not None:
            _owner.lines.emit(record)
        above = self.parent if isinstance(self.parent, WorkerLogger) else None
        for handler in (*self.handlers, *(above.handlers if above else ())):
            if record.levelno >= handler.level and not _is_terminal(handler):
                with contextlib.suppress(Exception):  # the app's handler: it may raise anything
                    handler.handle(record)

    def makeRecord(  # noqa: N802, PLR0913, PLR0917  # logging's own
        self, name: str, level: int, fn: str, lno: int, msg: object, args: Any, exc_info: Any,
        func: str | None = None, extra: Mapping[str, object] | None = None, sinfo: str | None = None,
    ) -> logging.LogRecord:  # fmt: skip
        """Make a record without the app's record factory."""
        record = logging.LogRecord(name, level, fn, lno, msg, args, exc_info, func, sinfo)
        record.__dict__.update(extra or {})
        return record


class _Owner:
    """Where the lines of this process go, and from which level on; `lines` is None while nothing is owned."""

    lines: Lines | None = None
    output: Output | None = None
    level: int = logging.INFO


_owner = _Owner()


@contextlib.contextmanager
def owned(form: Form, level: int = logging.INFO, *, passed_on: bool = False) -> Iterator[Output]:
    """Write the worker's own lines to what sys.stderr is now, out of the app's reach, until the block ends.

    `passed_on`: the reader of the lines adds the time and the worker's name. Yields the Output, for final messages.
    """
    output = Output(sys.stderr)
    _owner.lines, _owner.output, _owner.level = Lines(output, _formatter(form, passed_on=passed_on)), output, level
    former = _adopt()
    try:
        yield output
    finally:
        for logger, kind in former:
            logger.__class__ = kind
        _owner.lines = _owner.output = None
        _owner.level = logging.INFO
        output.close()


def quieter(level: int) -> None:
    """Write only lines of this level and above from now on."""
    _owner.level = level


def configure(form: Form, level: int = logging.INFO, *, passed_on: bool = False) -> None:
    """Send the root logger to stderr, unless the app's code has set up logging itself."""
    root = logging.getLogger()
    if root.handlers or (_owner.lines is not None and _is_configured()):
        return
    output = _owner.output or Output(sys.stderr)
    root.addHandler(Lines(output, _formatter(form, passed_on=passed_on)))
    if root.level == logging.WARNING:  # the default: the app has not set it
        root.setLevel(level)


def _adopt() -> list[tuple[logging.Logger, type[logging.Logger]]]:
    """Make loggers of the worker WorkerLoggers; returns them with what they were."""
    known = logging.Logger.manager.loggerDict
    names = [name for name, each in list(known.items()) if isinstance(each, logging.Logger)]
    ours = [logging.getLogger(_TREE), *(logging.getLogger(name) for name in names if name.startswith(f"{_TREE}."))]
    former = [(logger, type(logger)) for logger in ours]
    for logger in ours:
        logger.__class__ = WorkerLogger
    return former


def _is_configured() -> bool:
    """Return whether code has given a handler to any logger; what only swallows lines does not count."""
    loggers = [each for each in list(logging.Logger.manager.loggerDict.values()) if isinstance(each, logging.Logger)]
    return any(
        not isinstance(handler, logging.NullHandler)
        for logger in loggers
        if not isinstance(logger, WorkerLogger)
        for handler in logger.handlers
    )


def _formatter(form: Form, *, passed_on: bool) -> logging.Formatter:
    return JsonLines() if form == "json" else logging.Formatter(PASSED_ON if passed_on else TEXT, "%H:%M:%S")


def _is_terminal(handler: logging.Handler) -> bool:
    stream = getattr(handler, "stream", None)
    try:
        return stream in (sys.stderr, sys.stdout) or (stream is not None and stream.fileno() in (1, 2))
    except Exception:  # noqa: BLE001  # a stream of the app's: it may raise anything
        return False


def _duplicate(stream: Any) -> int | None:
    """Return a descriptor of a real stream's file; None for an object that only looks like one."""
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
            if not select.select([], [descriptor], [], STALLED)[1]:
                return  # no reader: a lost line is better than a blocked worker
