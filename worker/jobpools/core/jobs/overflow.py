"""What happens to a job that its queue has no room for. A module of its own, so that `--help` imports no pydantic."""

from enum import StrEnum


class Overflow(StrEnum):
    """The ways to treat a job that is enqueued while its queue is full."""

    BLOCK = "Block"
    """`enqueue` waits for room, and raises QueueFullError when its time is over."""
    DROP_NEWEST = "DropNewest"
    """The new job becomes a dead letter."""
    DROP_OLDEST = "DropOldest"
    """The oldest queued job of the lowest priority becomes a dead letter."""
