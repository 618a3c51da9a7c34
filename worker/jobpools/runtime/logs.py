"""The log of a worker process on stderr: one line a record, for people or for machines."""

import json
import logging
import sys
import time
from typing import Literal

TEXT = "%(asctime)s %(levelname)-7s %(name)s  %(message)s"
PASSED_ON = "%(levelname)s  %(message)s"
"""Where somebody puts the time and who we are before each line."""
_LEVELS = {"WARNING": "warning", "ERROR": "error", "CRITICAL": "critical", "DEBUG": "debug"}


class JsonLines(logging.Formatter):
    """time (RFC 3339, UTC), level, logger, message, and error where there is an exception."""

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object without line breaks."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": _LEVELS.get(record.levelname, "info"),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_text or record.exc_info:
            line["error"] = record.exc_text or self.formatException(record.exc_info)  # type: ignore[arg-type]  # one is
        return json.dumps(line, ensure_ascii=False)


def configure(form: Literal["text", "json"], level: int = logging.INFO, *, passed_on: bool = False) -> None:
    """Send the root logger to stderr, unless the user's own code has configured it already.

    `passed_on`: whoever reads the lines puts the time and our name before them.
    """
    if logging.getLogger().handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonLines() if form == "json" else logging.Formatter(PASSED_ON if passed_on else TEXT, "%H:%M:%S")
    )
    logging.basicConfig(level=level, handlers=[handler])
