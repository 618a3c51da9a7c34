"""The format of log lines, and the set-up of the root logger."""

import json
import logging
import sys
from typing import Any

from jobpools.observability import logs


def record(level: int, message: str, *args: object, **extra: Any) -> logging.LogRecord:
    return logging.LogRecord("jobpools.worker", level, "file.py", 1, message, args, extra.get("exc_info"))


def test_a_json_line_is_one_object() -> None:
    try:
        raise ValueError("two\nlines")  # noqa: TRY301  # the subject
    except ValueError:
        line = logs.JsonFormatter().format(record(logging.ERROR, "job %s failed", "ü", exc_info=sys.exc_info()))
    assert "\n" not in line
    found = json.loads(line)
    assert (found["level"], found["logger"], found["message"]) == ("error", "jobpools.worker", "job ü failed")
    assert found["time"].endswith("Z")
    assert found["error"].endswith("ValueError: two\nlines")
    assert "error" not in json.loads(logs.JsonFormatter().format(record(logging.INFO, "fine")))


def test_a_root_logger_with_a_handler_stays_as_it_is() -> None:
    root = logging.getLogger()
    before = list(root.handlers)
    assert before, "pytest adds its own"
    logs.configure("json")
    assert root.handlers == before
