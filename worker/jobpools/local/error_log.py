"""Shows errors that the control loop logs in the display of `jobpools up`."""

import logging
import traceback
from collections.abc import Callable


class ErrorLogHandler(logging.Handler):
    """Passes on records of level ERROR, which are mostly bugs. The display already shows what the others say."""

    def __init__(self, notify: Callable[[str], None]) -> None:
        """Create a handler; `notify` receives one line for each record."""
        super().__init__(logging.ERROR)
        self._notify = notify

    def emit(self, record: logging.LogRecord) -> None:
        """Pass on the message, with the exception and the line that raised it."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            frames = traceback.extract_tb(error.__traceback__)
            where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
            text = f"{text}: {type(error).__name__}: {error}{where}"
        self._notify(text)
