"""The traceback of an exception of the app, and log lines about it. The exception's own code may raise anything."""

import logging
import traceback
from types import TracebackType

from jobpools.core.text.error_text import error_message, error_type, safely, traceback_of

FRAMES_LIMIT = 50
"""Maximum frames that are kept of a traceback whose exception cannot be formatted."""


def log_app_error(log: logging.Logger, error: BaseException, text: str, *values: object) -> None:
    """Log the text, the error's type and message, and its traceback, at level ERROR.

    Args:
        log: The logger.
        error: What the app's code raised.
        text: The message without the error, in the form of `logging`.
        values: The values of the message.
    """
    safely(lambda: _log(log, error, text, values), None)


def _log(log: logging.Logger, error: BaseException, text: str, values: tuple[object, ...]) -> None:
    if not log.isEnabledFor(logging.ERROR):
        return
    message, given = f"{text} %s: %s", (*values, error_type(error), error_message(error))
    info = (type(error), error, traceback_of(error))
    record = log.makeRecord(log.name, logging.ERROR, __file__, 0, message, given, info, "log_app_error")
    # Formatters use this text instead of formatting the exception.
    record.exc_text = traceback_text(error).rstrip("\n")
    log.handle(record)


def traceback_text(error: BaseException, trace: TracebackType | None = None) -> str:
    """Return an exception's traceback as text, from the frame `trace` on. Default: all frames."""
    step = trace or traceback_of(error)
    return safely(lambda: _formatted(error, step), "") or _without_its_code(error, step)


def _formatted(error: BaseException, trace: TracebackType | None) -> str:
    return "".join(traceback.format_exception(type(error), error, trace))


def _without_its_code(error: BaseException, trace: TracebackType | None) -> str:
    """Return the traceback of an exception whose own code raises when it is formatted: frames, type and message."""
    frames = safely(lambda: "".join(traceback.format_tb(trace, -FRAMES_LIMIT)), "")
    return f"Traceback (most recent call last):\n{frames}{error_type(error)}: {error_message(error)}\n"
