"""What happens to a job whose attempt did not complete: the only path for failed, timed out and crashed alike."""

from collections.abc import Callable
from typing import Literal

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from jobpools.core.schema import Duration, Model

RetryFunction = Callable[[int, BaseException | None], float | None]
"""(attempt that just failed, from 1; its exception) → seconds until the next one, or None for no further attempt."""


class Retry(Model):
    """How often and when a failed job runs again."""

    strategy: Literal["none", "fixed", "exponential"] = "exponential"
    """`none`: the first failure is final; `fixed`: always `initial`; `exponential`: `initial` × `factor`ⁿ, at most `max`."""
    max_attempts: int = Field(default=3, ge=1)
    """Attempts in all, the first one included. Crashes of the worker are counted apart (`maxCrashes`)."""
    initial: Duration = 1.0
    """The delay before the second attempt."""
    max: Duration = 3600.0
    """The longest delay."""
    factor: float = Field(default=2.0, ge=1)
    """By what each delay is longer than the one before."""
    jitter: float = Field(default=0.1, ge=0, le=1)
    """The share of the delay that is drawn at random, so that jobs that failed together do not return together."""
    on: tuple[str, ...] = ()
    """Exception classes to retry, bare or qualified (`TimeoutError`, `httpx.ConnectError`); empty: every Exception."""
    function: SkipJsonSchema[RetryFunction | None] = Field(default=None, exclude=True)
    """Python only: decides each delay itself, within `max_attempts`."""
