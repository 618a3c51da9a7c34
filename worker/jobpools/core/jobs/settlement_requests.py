"""Exceptions with which a handler or a middleware decides what becomes of its job.

They are not errors. `core.jobs.retry.settle` decides what is done with them.
"""

from datetime import timedelta

from jobpools.core.text.durations import parse_duration
from jobpools.errors import ConfigurationError


class SettlementRequest(Exception):  # noqa: N818  # it is a decision, not an error
    """Base class of RetryAfter, Discard and Snooze, as in `except SettlementRequest: raise`."""

    __module__ = "jobpools"  # the name by which users import it, and which logs and histories show


class RetryAfter(SettlementRequest):
    """Fail the attempt and retry the job after this delay.

    The delays, `on` and `function` of the job's Retry are ignored. The attempt is charged: after `Retry.max_attempts`
    attempts the job is dead. With the strategy `"none"` there is no further attempt.

    Args:
        delay: Time until the next attempt: seconds, text such as `"90s"` or `"1h30m"`, or a timedelta.
        message: Why, for the log and the job's history. Default: the message of the error from which it
            is raised, or during whose handling it is raised.

    Raises:
        ConfigurationError: The delay is not a duration.

    Example:
        >>> if response.status_code == 429:
        ...     raise RetryAfter(response.headers["Retry-After"] + "s")
    """

    __module__ = "jobpools"

    def __init__(self, delay: str | float | timedelta, message: str = "") -> None:
        super().__init__(message)
        self.delay = _seconds("RetryAfter", delay)


class Discard(SettlementRequest):
    """Make the job a dead letter at once, with the reason `discarded` and without another attempt.

    Args:
        message: Why, for the log and the job's history. Default: the message of the error from which it
            is raised, or during whose handling it is raised.

    Example:
        >>> raise Discard(f"order {order} does not exist")
    """

    __module__ = "jobpools"

    def __init__(self, message: str = "") -> None:
        super().__init__(message)


class Snooze(SettlementRequest):
    """Run the job again after this delay, without charging the attempt.

    The number of snoozes is not limited; `ctx.history.snoozes` counts them. The option `expires` limits the time.

    Args:
        delay: Time until the job runs again: seconds, text such as `"90s"` or `"1h30m"`, or a timedelta; more than 0.
        message: Why, for the log.

    Raises:
        ConfigurationError: The delay is not a duration, or is 0.

    Example:
        >>> if not await report_is_ready(day):
        ...     raise Snooze("10m")
    """

    __module__ = "jobpools"

    def __init__(self, delay: str | float | timedelta, message: str = "") -> None:
        super().__init__(message)
        self.delay = _seconds("Snooze", delay)
        if not self.delay:
            raise ConfigurationError("Snooze: delay: must be more than 0")


def _seconds(name: str, delay: str | float | timedelta) -> float:
    try:
        return parse_duration(delay)
    except ValueError as error:
        raise ConfigurationError(f"{name}: delay: {error}") from error
