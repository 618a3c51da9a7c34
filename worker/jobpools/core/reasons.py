"""Reasons of the condition Ready that WorkerPools and CronJobSpecs share.

`core.pools.reasons` and `core.schedules.reasons` hold the others. `make generate` writes docs/conditions.md from them.
"""

from enum import StrEnum


class SharedReason(StrEnum):
    """A reason of `Ready` that an object of either kind may have."""

    INVALID_SPEC = "InvalidSpec"
    """A field of `spec` is invalid; the message names it. Until it is corrected, running workers are left as they are,
    a schedule does not fire, and no other condition is reported."""
    REDIS_UNKNOWN = "RedisUnknown"
    """The URL of the object's Redis is invalid, or its Secret cannot be read; the message names the cause. The object
    is not managed until the URL is known, and no other condition is reported. A schedule also has this reason while
    Redis cannot be read or written: its ticks wait."""
