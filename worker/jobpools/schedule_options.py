"""The options of a schedule made in code, checked when it is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from pydantic import ValidationError

from jobpools.client import Call
from jobpools.core.schedules.code_specs import CodeSpec, is_code_key
from jobpools.core.schedules.expression import parse_cron
from jobpools.core.schedules.specs import CatchUp, ConcurrencyPolicy, Schedule
from jobpools.core.text.durations import parse_duration
from jobpools.core.text.validation import explain
from jobpools.errors import ConfigurationError, SpecError
from jobpools.handle import Span
from jobpools.handlers import Handler
from jobpools.options import checked


class PolicyValues(TypedDict, total=False):
    """The options that `app.scheduler.edit` changes, for type checkers."""

    concurrency_policy: Literal["Allow", "Forbid", "Replace"]
    """What happens at a tick while an earlier job has not ended. Default: `Allow`."""
    catch_up: Literal["None", "Latest", "All"]
    """Which ticks are fired late after no scheduler ran. Default: `Latest`."""
    starting_deadline: Span
    """Time after which a tick that was not fired counts as missed. Default: no limit."""


class ScheduleValues(PolicyValues, total=False):
    """The options of a schedule, for type checkers."""

    name: str
    """Name of the schedule, unique in the app. Default: the handler's."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """A schedule that `@app.cron` declares. It is written to Redis when a worker of the app starts."""

    handler: Handler[..., Any]
    args: Mapping[str, Any]
    times: Mapping[str, Any]
    options: ScheduleValues
    name: str


def call_of(job: Handler[..., Any] | Call[Any]) -> Call[Any]:
    """Return the job of a schedule. Raises ConfigurationError for another object, a delay or a time."""
    call = job.call() if isinstance(job, Handler) else job
    if not isinstance(call, Call):
        raise ConfigurationError(f"scheduler: {job!r} is not a job; give a handler or handler.call(…)")
    if call.due is not None or call.delay:
        raise ConfigurationError(f"schedule of {call.envelope.name}: a delay or at= has no place here; leave it out")
    return call


def cron_times(where: str, expression: str, time_zone: str) -> dict[str, Any]:
    """Return the fields of a cron expression. Raises ConfigurationError if it or the time zone is invalid."""
    try:
        parse_cron(expression, time_zone)
    except (SpecError, AttributeError, TypeError) as error:
        raise ConfigurationError(f"{where}: {error}") from error
    return {"schedule": expression, "time_zone": time_zone}


def seconds_of(where: str, interval: Span) -> float:
    """Return the seconds of an interval. Raises ConfigurationError."""
    try:
        return parse_duration(interval)
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}") from error


def _name(given: str) -> str:
    return given


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "name": _name,
    "concurrency_policy": ConcurrencyPolicy,
    "catch_up": CatchUp,
    "starting_deadline": parse_duration,
}


def option_fields(where: str, given: PolicyValues) -> dict[str, Any]:
    """Return the options as fields of a spec. Raises ConfigurationError."""
    values = checked(where, given, _CHECKS)
    values.pop("name", None)
    if "starting_deadline" in values:
        values["starting_deadline_seconds"] = max(1, round(values.pop("starting_deadline")))
    return values


def make_spec(where: str, fields: Mapping[str, Any]) -> CodeSpec:
    """Return the spec with these fields. Raises ConfigurationError."""
    try:
        return CodeSpec.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise ConfigurationError(f"{where}: {field}{': ' * bool(field)}{explain(first)}") from error


def check_source(action: str, schedule: Schedule) -> Schedule:
    """Return the schedule. Raises ConfigurationError if a CronJobSpec declares it."""
    key, name = schedule.meta.key, schedule.meta.name
    if is_code_key(key):
        return schedule
    hints = {
        "delete": f"delete that object: kubectl delete jobcron {name}",
        "edit": "change its YAML",
        "enable": f'set spec.suspend: kubectl patch jobcron {name} --type=merge -p \'{{"spec":{{"suspend":false}}}}\'',
        "disable": f'set spec.suspend: kubectl patch jobcron {name} --type=merge -p \'{{"spec":{{"suspend":true}}}}\'',
    }
    raise ConfigurationError(f"schedule {key}: a CronJobSpec declares it, and its YAML decides; {hints[action]}")
