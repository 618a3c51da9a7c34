"""The worker's own log lines (loggers `jobpools` and below), independent of the app's configuration of `logging`.

Inside the block of `isolated`, those loggers write to a stream that was chosen when the worker started: levels,
handlers, filters and flags of the app have no effect on them. The app's own lines go where the app sends them, or to
the same stream if it configured nothing.
"""

import contextlib
import logging
import sys
from collections.abc import Generator, Mapping
from typing import Any

from jobpools.observability import logs
from jobpools.observability.job_fields import JobLogFilter
from jobpools.observability.log_output import LogOutput, LogOutputHandler
from jobpools.observability.logs import LogFormat

_ROOT = "jobpools"
_IMPORTED_LATER = ("jobpools.worker", "jobpools.rescue", "jobpools.http")
"""Loggers of modules that are imported inside the block of `isolated`."""


class WorkerLogger(logging.Logger):
    """A logger of the worker's own lines: each is written once, whatever the app does to `logging`.

    `disabled`, `propagate`, filters, `logging.disable` and levels above the worker's own have no effect. A lower level
    (DEBUG) shows more. Handlers that the app added to this logger by name receive the lines as well, except those that
    write to the terminal, which shows the line already.
    """

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # logging's name
        """Return whether a line of this level is written."""
        return level >= self.getEffectiveLevel()

    def getEffectiveLevel(self) -> int:  # noqa: N802  # as above
        """Return the worker's level, or a lower one that was set on this logger or on `jobpools`."""
        above = self.parent if isinstance(self.parent, WorkerLogger) else self
        return min(each for each in (_state.level, self.level, above.level) if each)

    def handle(self, record: logging.LogRecord) -> None:
        """Write the record."""
        if _state.handler is not None:
            _state.handler.emit(record)
        above = self.parent if isinstance(self.parent, WorkerLogger) else None
        for handler in (*self.handlers, *(above.handlers if above else ())):
            if record.levelno >= handler.level and not _writes_to_terminal(handler):
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


class _State:
    """Destination and lowest level of the worker's lines. Outside the block, handler and output are None."""

    handler: LogOutputHandler | None = None
    output: LogOutput | None = None
    level: int = logging.INFO


_state = _State()


@contextlib.contextmanager
def isolated(log_format: LogFormat, level: int = logging.INFO, *, relayed: bool = False) -> Generator[LogOutput]:
    """Write the worker's own lines to the current sys.stderr until the block ends.

    Args:
        log_format: Format of the lines.
        level: Lowest level to write.
        relayed: A parent process reads the lines and adds the time and the worker's name to each.

    Yields:
        The output, for the message with which the process ends.
    """
    output = LogOutput(sys.stderr)
    _state.handler = LogOutputHandler(output, logs.formatter(log_format, relayed=relayed))
    _state.output, _state.level = output, level
    former = _isolate_loggers()
    try:
        yield output
    finally:
        for logger, kind in former:
            logger.__class__ = kind
        _state.handler = _state.output = None
        _state.level = logging.INFO
        output.close()


def level_of(name: str, *, relayed: bool = False) -> int:
    """Return the number of a level such as `info`. A parent that relays the lines gets no lines of level INFO."""
    level = logging.getLevelNamesMapping()[name.upper()]
    return logging.WARNING if relayed and level == logging.INFO else level


def set_level(level: int) -> None:
    """Write only lines of this level and above from now on."""
    _state.level = level


def configure_app(log_format: LogFormat, *, relayed: bool = False) -> None:
    """Send the app's lines to the worker's output, unless the app has configured `logging` itself.

    The app's own handlers get a filter by which their records name the job.
    """
    if _state.handler is None or not _app_handlers():
        logs.configure(log_format, relayed=relayed, output=_state.output)
    for handler in (*logging.getLogger().handlers, *_app_handlers()):
        # A LogOutputHandler of jobpools names the job anyway.
        if not isinstance(handler, LogOutputHandler) and JobLogFilter not in map(type, handler.filters):
            handler.addFilter(JobLogFilter())


def _isolate_loggers() -> list[tuple[logging.Logger, type[logging.Logger]]]:
    """Make the loggers of the worker WorkerLoggers; return them with their former classes."""
    known = logging.Logger.manager.loggerDict
    names = [name for name, each in list(known.items()) if isinstance(each, logging.Logger)]
    below = {*_IMPORTED_LATER, *(name for name in names if name.startswith(f"{_ROOT}."))}
    loggers = [logging.getLogger(name) for name in (_ROOT, *sorted(below))]
    former = [(logger, type(logger)) for logger in loggers]
    for logger in loggers:
        logger.__class__ = WorkerLogger
    return former


def _app_handlers() -> list[logging.Handler]:
    """Return the handlers that the app has added to its loggers, below the root; a NullHandler does not count."""
    loggers = [each for each in list(logging.Logger.manager.loggerDict.values()) if isinstance(each, logging.Logger)]
    return [
        handler
        for logger in loggers
        if not isinstance(logger, WorkerLogger)
        for handler in logger.handlers
        if not isinstance(handler, logging.NullHandler)
    ]


def _writes_to_terminal(handler: logging.Handler) -> bool:
    stream = getattr(handler, "stream", None)
    try:
        return stream in (sys.stderr, sys.stdout) or (stream is not None and stream.fileno() in (1, 2))
    except Exception:  # noqa: BLE001  # a stream of the app: it may raise anything
        return False
