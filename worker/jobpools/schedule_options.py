"""The options of a schedule made in code, checked when it is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, TypedDict, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from jobpools.client import Call
from jobpools.core.jobs.job import Priority
from jobpools.core.schedules.code_specs import CodeJob, CodeSpec, code_schedule
from jobpools.core.schedules.expression import parse_cron
from jobpools.core.schedules.specs import CatchUp, ConcurrencyPolicy, Schedule
from jobpools.core.text.durations import parse_duration
from jobpools.core.text.validation import explain
from jobpools.errors import ConfigurationError, SpecError
from jobpools.handle import Span
from jobpools.handlers import Handler
from jobpools.options import checked

E = TypeVar("E", bound=StrEnum)


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
    """Return the job of a schedule. Raises ConfigurationError for another object, a delay, a time or an id."""
    call = job.call() if isinstance(job, Handler) else job
    if not isinstance(call, Call):
        raise ConfigurationError(f"scheduler: {job!r} is not a job; give a handler or handler.call(…)")
    if call.due is not None or call.delay:
        raise ConfigurationError(
            f"schedule of {call.envelope.name}: a delay or at= contradicts its times; leave it out"
        )
    if call.envelope.enqueued is not None:  # only an id that the caller chose has this time
        raise ConfigurationError(
            f"schedule of {call.envelope.name}: id= contradicts the ids of its ticks; leave it out"
        )
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


def _one_of(choices: type[E]) -> Callable[[Any], E]:
    """Return a check that accepts the values of an enum."""

    def check(given: Any) -> E:
        try:
            return choices(given)
        except ValueError as error:
            *others, last = choices
            raise ValueError(f"{given!r} is not a choice; use {', '.join(others)} or {last}") from error

    return check


POLICY_CHECKS: dict[str, Callable[[Any], Any]] = {
    "concurrency_policy": _one_of(ConcurrencyPolicy),
    "catch_up": _one_of(CatchUp),
    "starting_deadline": parse_duration,
}
"""The check of each option of `PolicyValues`, which returns its validated form."""


def option_fields(where: str, given: ScheduleValues) -> dict[str, Any]:
    """Return the options as fields of a spec. Raises ConfigurationError."""
    values = checked(where, given, POLICY_CHECKS | {"name": _name})
    values.pop("name", None)
    return policy_fields(values)


def policy_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return validated options of `PolicyValues` as fields of a spec."""
    found = dict(values)
    if "starting_deadline" in found:
        found["starting_deadline_seconds"] = max(1, round(found.pop("starting_deadline")))
    return found


def make_spec(where: str, fields: Mapping[str, Any]) -> CodeSpec:
    """Return the spec with these fields. Raises ConfigurationError."""
    try:
        return CodeSpec.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise ConfigurationError(f"{where}: {field}{': ' * bool(field)}{explain(first)}") from error


def schedule_of(app: str, call: Call[Any], times: Mapping[str, Any], options: ScheduleValues, name: str) -> Schedule:
    """Return the schedule of a job, with the fields of its times. Raises ConfigurationError."""
    envelope, where = call.envelope, f"schedule {name}"
    job = CodeJob.model_construct(
        name=envelope.name,
        queue=envelope.queue,
        priority=Priority(envelope.priority),
        kwargs=from_json(bytes(envelope.args)),
        tags=envelope.tags,
        timeout=envelope.timeout,
        retry=envelope.retry,
        ttl=envelope.ttl,
        expires=call.expires or None,
        metadata=envelope.meta,
        max_crashes=envelope.max_crashes,
    )
    spec = make_spec(where, {**times, **option_fields(where, options), "job": job.model_dump()})
    try:
        return code_schedule(app, name, spec)
    except ValidationError as error:
        raise ConfigurationError(
            f"{where}: {name!r} is not a name; use 1 to 63 letters, digits and _, with -. between them"
        ) from error


def check_source(action: str, schedule: Schedule) -> tuple[Schedule, CodeSpec]:
    """Return a schedule made in code, and its spec. Raises ConfigurationError if a CronJobSpec declares it."""
    key = schedule.meta.key
    if isinstance(schedule.spec, CodeSpec):
        return schedule, schedule.spec
    target = f"jobcron {schedule.meta.name} -n {schedule.meta.namespace}"
    hints = {
        "delete": f"delete that object: kubectl delete {target}, or remove it from the files of jobpools up",
        "edit": f"change it there: kubectl edit {target}, or the file of jobpools up",
        "enable": f'set spec.suspend: kubectl patch {target} --type=merge -p \'{{"spec":{{"suspend":false}}}}\'',
        "disable": f'set spec.suspend: kubectl patch {target} --type=merge -p \'{{"spec":{{"suspend":true}}}}\'',
    }
    raise ConfigurationError(f"schedule {key}: a CronJobSpec declares it, and its YAML decides; {hints[action]}")
