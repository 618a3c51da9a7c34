"""CronJobSpec: what a user may write, what each field means, its default and its limits."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, Field, field_validator, model_validator

from jobpools.core.jobs.job import Priority
from jobpools.core.jobs.policies import Queue
from jobpools.core.objects import Meta, RedisRef
from jobpools.core.schema import Model

TIME_PATTERN = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
"""RFC 3339, which is what the API server takes for a time; pydantic takes seconds since the epoch and more."""


class ConcurrencyPolicy(StrEnum):
    """What a fire does while the former one's job has not ended; the words are those of Kubernetes' CronJob."""

    ALLOW = "Allow"
    FORBID = "Forbid"
    REPLACE = "Replace"


class CatchUp(StrEnum):
    """What happens to ticks that were missed while nobody led."""

    NONE = "None"
    LATEST = "Latest"
    ALL = "All"


class JobTemplate(Model):
    """The job that a fire enqueues."""

    name: str
    """The job's registered name."""
    queue: Queue = "default"
    """The queue it goes to."""
    priority: Priority = Priority.NORMAL
    """Which of the queue's three lists it waits in."""
    kwargs: dict[str, Any] = Field(default_factory=dict)
    """Its arguments, by name."""
    tags: tuple[str, ...] = ()
    """For finding it again."""


class ScheduleSpec(Model):
    """A job that is enqueued by the clock, once a tick."""

    schedule: str | None = None
    """A cron expression of five fields, or @hourly, @daily, @weekly, @monthly, @yearly."""
    at: AwareDatetime | None = None
    """One single time instead, with its offset, as in `2027-01-01T00:00:00Z`."""
    time_zone: str = "UTC"
    """The IANA time zone of `schedule`."""
    suspend: bool = False
    """No fires while true; what falls due meanwhile is skipped and counted as missed."""
    concurrency_policy: ConcurrencyPolicy = ConcurrencyPolicy.ALLOW
    """What a fire does while the former one's job has not ended."""
    starting_deadline_seconds: int | None = Field(default=None, ge=1)
    """A tick that is later than this is missed; default: no limit."""
    catch_up: CatchUp = CatchUp.LATEST
    """Which of the missed ticks are fired when the scheduler is back."""
    job: JobTemplate
    """The job that a fire enqueues."""
    redis: RedisRef | None = None
    """Default: the one that the chart was installed with."""

    @field_validator("at", mode="before")
    @classmethod
    def _a_time(cls, at: Any) -> Any:
        if at is None or isinstance(at, datetime):
            return at
        wrong = ValueError(f"{at!r} is no time: write it with its offset, as in 2027-01-01T00:00:00Z")
        if not isinstance(at, str) or not re.fullmatch(TIME_PATTERN, at):
            raise wrong
        try:
            return datetime.fromisoformat(at.upper())
        except ValueError as error:  # as in 25:00
            raise wrong from error

    @field_validator("at")
    @classmethod
    def _within_the_calendar(cls, at: datetime | None) -> datetime | None:
        """In UTC as well, where it may be a day before or after the years that there are."""
        try:
            if at is not None:
                at.astimezone(UTC)
        except OverflowError as error:
            raise ValueError("is beyond the calendar") from error
        return at

    @model_validator(mode="after")
    def _one(self) -> "ScheduleSpec":
        if (self.schedule is None) == (self.at is None):
            raise ValueError("give exactly one of schedule and at")
        return self


class Schedule(Model):
    """A CronJobSpec object: a cluster's or a file's."""

    meta: Meta
    spec: ScheduleSpec
