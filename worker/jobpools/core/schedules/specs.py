"""CronJobSpec: what a user may write, what each field means, its default and its limits."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, Field, field_validator, model_validator

from jobpools.core.jobs.job import Priority
from jobpools.core.jobs.policies import Queue
from jobpools.core.objects import Meta, RedisRef
from jobpools.core.schema import Model, Timeout
from jobpools.core.text.timestamps import timestamp

TIME_PATTERN = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
"""RFC 3339: the times that the API server accepts. Pydantic alone would also accept seconds since the epoch."""


class ConcurrencyPolicy(StrEnum):
    """Rule for a fire while the job of the previous fire has not ended; the values of Kubernetes' CronJob."""

    ALLOW = "Allow"
    FORBID = "Forbid"
    REPLACE = "Replace"


class Source(StrEnum):
    """Place in which a schedule is declared."""

    CODE = "code"
    """By `app.scheduler` or `@app.cron`."""
    OBJECT = "CronJobSpec"
    """By a CronJobSpec, in the cluster or in a file of `jobpools up`."""


class CatchUp(StrEnum):
    """Rule for which missed ticks are fired when the scheduler is available again."""

    NONE = "None"
    LATEST = "Latest"
    ALL = "All"


class JobTemplate(Model):
    """The job that each fire enqueues."""

    name: str
    """Name of the handler that runs the job."""
    queue: Queue = "default"
    """Queue in which the job is enqueued."""
    priority: Priority = Priority.NORMAL
    """Priority of the job: `high`, `normal` or `low`."""
    kwargs: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the handler, by name."""
    tags: tuple[str, ...] = ()
    """Labels for people and handlers: `jobpools jobs show` and `ctx.tags` return them."""
    metadata: dict[str, Any] | None = None
    """JSON object that travels with the job: `jobpools jobs show` and `ctx.metadata` return it. The metadata of
    `@app.job` are not added to it."""
    expires: Timeout | None = None
    """Time from the fire after which no attempt of the job starts: it is dead, with the reason `expired`. Default: the
    job does not expire."""


class ScheduleSpec(Model):
    """Schedule of a job: enqueued at each tick of a cron expression, or once at a given time."""

    schedule: str | None = None
    """Cron expression with five fields (minute hour day month weekday), or @hourly, @daily, @weekly, @monthly, @yearly.
    Set either `schedule` or `at`."""
    at: AwareDatetime | None = None
    """Single time at which the job is enqueued once, with a UTC offset: `2027-01-01T00:00:00Z`. Set either `schedule`
    or `at`."""
    time_zone: str = "UTC"
    """IANA time zone of `schedule`, such as `Europe/Berlin`."""
    suspend: bool = False
    """While true, no jobs are enqueued; ticks that become due are counted as missed."""
    concurrency_policy: ConcurrencyPolicy = ConcurrencyPolicy.ALLOW
    """What happens at a tick while the job of an earlier tick has not ended. `Allow` enqueues another job, `Forbid`
    skips the tick and counts it as missed, `Replace` cancels the earlier job and enqueues a new one."""
    starting_deadline_seconds: int | None = Field(default=None, ge=1)
    """Seconds after its due time at which a tick that was not fired counts as missed. Default: no limit."""
    catch_up: CatchUp = CatchUp.LATEST
    """Which ticks are fired late, after a time in which no operator ran or Redis was unavailable: `None`, only the
    `Latest`, or `All`."""
    job: JobTemplate
    """Job that is enqueued at each tick."""
    redis: RedisRef | None = None
    """Redis or Valkey in which the job is enqueued. Default: the chart's."""

    @field_validator("at", mode="before")
    @classmethod
    def _parse_time(cls, at: Any) -> Any:
        if at is None or isinstance(at, datetime):
            return at
        wrong = ValueError(f"{at!r} is not a time with a UTC offset; write it as in 2027-01-01T00:00:00Z")
        if not isinstance(at, str) or not re.fullmatch(TIME_PATTERN, at):
            raise wrong
        try:
            return datetime.fromisoformat(at.upper())
        except ValueError as error:  # as in 25:00
            raise wrong from error

    @field_validator("at")
    @classmethod
    def _check_utc_year(cls, at: datetime | None) -> datetime | None:
        """Refuse a time whose UTC form is before year 1 or after year 9999."""
        try:
            if at is not None:
                at.astimezone(UTC)
        except OverflowError as error:
            raise ValueError("is outside the years 1 to 9999 in UTC; use another year") from error
        return at

    @model_validator(mode="after")
    def _check_one_time(self) -> "ScheduleSpec":
        if not self._has_one_time():
            raise ValueError("set exactly one of schedule and at")
        return self

    def _has_one_time(self) -> bool:
        return (self.schedule is None) != (self.at is None)

    @property
    def source(self) -> Source:
        """Return where the schedule is declared."""
        return Source.OBJECT

    @property
    def times(self) -> str:
        """Return the times as a listing shows them: the cron expression, or the single time."""
        return self.schedule or (timestamp(self.at.timestamp()) if self.at is not None else "")


class Schedule(Model):
    """A CronJobSpec object, read from the cluster or from a file, or a schedule made in code."""

    meta: Meta
    spec: ScheduleSpec
