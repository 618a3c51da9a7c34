"""Shows errors that the control loop logs, and dropped dead letters, in the display of `jobpools up`."""

import logging
import traceback
from collections.abc import Callable

WARNINGS_SHOWN = "jobpools.dead_letters"
"""The logger whose warnings are passed on too."""


class ErrorLogHandler(logging.Handler):
    """Passes on records of level ERROR, which are mostly bugs, and warnings that the display does not show itself."""

    def __init__(self, notify: Callable[[str], None]) -> None:
        """Create a handler; `notify` receives one line for each record."""
        super().__init__(logging.WARNING)
        self._notify = notify

    def emit(self, record: logging.LogRecord) -> None:
        """Pass on the message, with the exception and the line that raised it."""
        if record.levelno < logging.ERROR and record.name != WARNINGS_SHOWN:
            return
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            frames = traceback.extract_tb(error.__traceback__)
            where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
            text = f"{text}: {type(error).__name__}: {error}{where}"
        self._notify(text)
