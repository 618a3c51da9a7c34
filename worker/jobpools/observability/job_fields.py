"""The fields by which a log record names the job whose code logged it."""

import contextvars
import logging
from collections.abc import Mapping
from typing import Any, Protocol

FIELDS = ("job_id", "job_name", "queue", "attempt")
"""Attributes of a log record: id, handler and queue of the job, and number of the attempt."""


class LoggedAttempt(Protocol):
    """The part of an attempt that log records show."""

    @property
    def log_fields(self) -> Mapping[str, str | int]:
        """Return the values of FIELDS."""
        ...


logged_attempt: contextvars.ContextVar[LoggedAttempt | None] = contextvars.ContextVar("jobpools_attempt", default=None)
"""The attempt whose code is running. Tasks, callbacks and the threads of plain functions copy the context."""


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return the record's values of FIELDS: its own, else those of the attempt that runs; empty: it has no job.

    Call it in the thread that made the record.
    """
    own = record.__dict__
    if own.get("job_id"):
        return {name: own[name] for name in FIELDS if name in own}
    attempt = logged_attempt.get()
    return {} if attempt is None else dict(attempt.log_fields)


def label(fields: Mapping[str, Any]) -> str:
    """Return `handler id` or `handler id (attempt 2)`, as text lines name a job; empty: no job."""
    if "job_id" not in fields or "job_name" not in fields:
        return ""
    attempt = fields.get("attempt", 1)
    return f"{fields['job_name']} {fields['job_id']}" + (f" (attempt {attempt})" if attempt != 1 else "")


class JobLogFilter(logging.Filter):
    """Adds the job to each log record: `job_id`, `job_name`, `queue`, `attempt`, and `job`, which names it in text.

    Outside of a job the texts are empty and `attempt` is 0. An attribute that `extra=` has set is not changed, and no
    record is dropped. A worker adds this filter to the logging handlers that exist when it starts. Add it yourself to
    logging handlers that are made later, and outside of workers if a format uses `%(job)s`.

    Example:
        >>> handler.addFilter(JobLogFilter())
        >>> handler.setFormatter(logging.Formatter("%(levelname)s [%(job)s] %(message)s"))
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the attributes; return True."""
        fields = fields_of(record)
        record.__dict__.setdefault("job", label(fields))
        for name in FIELDS:
            record.__dict__.setdefault(name, fields.get(name, 0 if name == "attempt" else ""))
        return True


class JobLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose records name one attempt, also where they are logged outside of its context."""

    def __init__(self, logger: logging.Logger, attempt: LoggedAttempt) -> None:
        super().__init__(logger, attempt.log_fields)

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        """Add the job's fields; those of the call's own `extra` take precedence."""
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs
