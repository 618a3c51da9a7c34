"""Schedules made in code: `app.scheduler.cron(…)` and `@app.cron`. Their keys cannot be those of a CronJobSpec."""

from typing import Any

from pydantic import Field
from pydantic_core import from_json

from jobpools.core.jobs.retry import Retry
from jobpools.core.objects import Meta
from jobpools.core.schedules.specs import JobTemplate, Schedule, ScheduleSpec, Source
from jobpools.core.text.durations import format_duration

KEY_PREFIX = "code:"
"""Begins the keys of schedules made in code. No namespace of Kubernetes contains a colon."""
NAME_PATTERN = r"^[A-Za-z0-9_]([-_.A-Za-z0-9]*[A-Za-z0-9_])?$"
NAME_LIMIT = 63
"""Maximum characters of the name of a schedule made in code."""
MIN_INTERVAL = 1.0
"""Minimum seconds between two ticks of `every`."""


class CodeMeta(Meta):
    """Identity of a schedule made in code: the namespace is `code:` and the name of the app."""

    name: str = Field(pattern=NAME_PATTERN, max_length=NAME_LIMIT)
    namespace: str = Field(pattern=rf"^{KEY_PREFIX}[^/]+$")


class CodeJob(JobTemplate):
    """The job that each fire enqueues, with the options of `handler.options(…)`."""

    timeout: float | None = None
    """Maximum seconds of one attempt; None: the default of the handler or pool."""
    retry: Retry | None = None
    """When and how often a failed job is retried; None: the default of the handler or pool."""
    ttl: float | None = None
    """Seconds that the completed job and its result are kept; None: the default of the handler or pool."""
    max_crashes: int | None = None
    """Number of crashes of its worker after which the job is dead; None: the default of the handler or pool."""


class CodeSpec(ScheduleSpec):
    """A schedule made in code. `suspend` is set from the switch in Redis and never stored here."""

    every: float | None = Field(default=None, ge=MIN_INTERVAL)
    """Seconds between two ticks, which are the multiples of it since 1970-01-01T00:00:00Z."""
    job: CodeJob  # pyright: ignore[reportIncompatibleVariableOverride]  # read-only, because the model is frozen

    def _has_one_time(self) -> bool:
        return sum(each is not None for each in (self.schedule, self.at, self.every)) == 1

    @property
    def source(self) -> Source:
        """Return where the schedule is declared."""
        return Source.CODE

    @property
    def times(self) -> str:
        """Return the times as a listing shows them."""
        return super().times if self.every is None else f"every {format_duration(self.every)}"


def code_key(app: str, name: str) -> str:
    """Return the key of a schedule that this app makes."""
    return f"{KEY_PREFIX}{app}/{name}"


def is_code_key(key: str) -> bool:
    """Return whether the key is that of a schedule made in code."""
    return key.startswith(KEY_PREFIX)


def code_schedule(app: str, name: str, spec: CodeSpec) -> Schedule:
    """Return the schedule of this name and app. Raises ValidationError if the name is invalid."""
    return Schedule(meta=CodeMeta(name=name, namespace=f"{KEY_PREFIX}{app}"), spec=spec)


def parse_schedule(key: str, raw: bytes, *, disabled: bool = False) -> Schedule:
    """Return a stored schedule. Raises ValueError if a newer version wrote it."""
    namespace, _, name = key.rpartition("/")
    # Not as JSON: there, a duration would have to be text, and it is stored in seconds.
    fields = from_json(raw)
    if not is_code_key(key):
        meta = Meta.model_construct(name=name, namespace=namespace)
        return Schedule.model_construct(meta=meta, spec=ScheduleSpec.model_validate(fields))
    spec = CodeSpec.model_validate(fields)
    switched: dict[str, Any] = {"suspend": True} if disabled else {}
    return Schedule.model_construct(
        meta=CodeMeta.model_construct(name=name, namespace=namespace), spec=spec.model_copy(update=switched)
    )
