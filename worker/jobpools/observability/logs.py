"""The format of log lines, and the set-up of the root logger. One line per record, as text or as JSON."""

import json
import logging
import sys
from typing import Any, Final, Literal

from jobpools.core.text.timestamps import timestamp
from jobpools.observability import job_fields
from jobpools.observability.log_output import LogOutput, LogOutputHandler

LogFormat = Literal["text", "json"]
TEXT_WITH_TIME: Final = "%(asctime)s %(levelname)-7s %(name)s  %(message)s"
TEXT_WITHOUT_TIME: Final = "%(levelname)s  %(message)s"
"""For a parent process that writes the time and the worker's name before each line."""
_LEVELS = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error"}


class TextFormatter(logging.Formatter):
    """Formats a record as text. A line that a job's code logged begins with the job; the worker's own lines name it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        """Return the line, without an exception's traceback."""
        if not _is_own(record.name) and (job := job_fields.label(job_fields.fields_of(record))):
            record.message = f"{job}: {record.message}"
        return super().formatMessage(record)


def _is_own(logger: str) -> bool:
    return logger == "jobpools" or logger.startswith("jobpools.")


class JsonFormatter(logging.Formatter):
    """Formats a record as a JSON object.

    Its fields: time (RFC 3339, UTC), level, logger and message. A line that names a job also has job_id, job_name,
    queue and attempt; a line with an exception also has error.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return one JSON object without line breaks."""
        line: dict[str, Any] = {
            "time": timestamp(record.created, "milliseconds"),
            "level": "critical" if record.levelno >= logging.CRITICAL else _LEVELS.get(record.levelno, "info"),
            "logger": record.name,
            "message": record.getMessage(),
            **job_fields.fields_of(record),
        }
        if record.exc_text or record.exc_info:
            line["error"] = record.exc_text or self.formatException(record.exc_info)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # one is
        return json.dumps(line, ensure_ascii=False, default=str)


def formatter(log_format: LogFormat, *, relayed: bool = False) -> logging.Formatter:
    """Return a formatter. `relayed`: a parent process reads the lines and adds time and name to each line of text."""
    if log_format == "json":
        return JsonFormatter()
    return TextFormatter(TEXT_WITHOUT_TIME if relayed else TEXT_WITH_TIME, "%H:%M:%S")


def configure(
    log_format: LogFormat, level: int = logging.INFO, *, relayed: bool = False, output: LogOutput | None = None
) -> None:
    """Send the root logger to stderr, unless it has a handler already.

    Args:
        log_format: Format of the lines.
        level: Lowest level to write. A level that was set on the root logger takes precedence.
        relayed: A parent process reads the lines and adds time and name to each line of text.
        output: Where to write. Default: what sys.stderr is now.
    """
    root = logging.getLogger()
    if root.handlers:
        return
    root.addHandler(LogOutputHandler(output or LogOutput(sys.stderr), formatter(log_format, relayed=relayed)))
    if root.level == logging.WARNING:  # the default: it was not set
        root.setLevel(level)
