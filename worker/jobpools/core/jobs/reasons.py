"""Every reason for which a job is settled after an attempt that did not complete."""

from enum import StrEnum


class SettlementReason(StrEnum):
    """One stable CamelCase word, shown in the worker's log and in the note of a dead letter."""

    CANCELLED = "Cancelled"
    """The job was cancelled."""
    HANDED_BACK = "HandedBack"
    """The worker stops, so the job returns to its queue. The attempt does not count."""
    UNRUNNABLE = "Unrunnable"
    """This worker cannot run the job, so another one may claim it later. The attempt does not count."""
    CRASHED = "Crashed"
    """The worker ended during the attempt. The job runs again, or is dead after `max_crashes` crashes."""
    RETRIED = "Retried"
    """The attempt failed, and another one follows after a delay."""
    RETRIES_USED_UP = "RetriesUsedUp"
    """The attempt failed, and it was the last one that the retry policy allows. The job is dead."""
    NOT_RETRIED = "NotRetried"
    """The attempt failed in a way that is not retried. The job is dead."""
    DISCARDED = "Discarded"
    """The handler raised Discard. The job is dead."""
    SNOOZED = "Snoozed"
    """The handler raised Snooze. The job runs again after a delay, and the attempt does not count."""
    EXPIRED = "Expired"
    """The job was not started in time. It is dead."""
