"""What `app.scheduler.edit` changes of a schedule: its times, its options, and the job that it enqueues."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from pydantic_core import from_json

from jobpools.core.jobs import json_values
from jobpools.core.schedules.code_specs import CodeSpec
from jobpools.core.schedules.specs import Schedule
from jobpools.core.text.durations import parse_duration
from jobpools.core.text.error_text import error_message
from jobpools.errors import ArgumentsError, ConfigurationError
from jobpools.handle import Span
from jobpools.handlers import Handler
from jobpools.options import OPTION_CHECKS, HandlerValues, checked, timestamp_of
from jobpools.schedule_options import POLICY_CHECKS, PolicyValues, cron_times, make_spec, policy_fields


class EditValues(PolicyValues, HandlerValues, total=False):
    """The values that `app.scheduler.edit` changes, for type checkers."""

    cron: str
    """Cron expression, which replaces the times. At most one of `cron`, `every` and `at` is given."""
    every: Span
    """Interval between two ticks, which replaces the times."""
    at: datetime
    """Single time, which replaces the times."""
    time_zone: str
    """IANA time zone of the cron expression."""
    args: Mapping[str, Any]
    """Arguments of the handler to change, by name."""


def _time(at: datetime) -> datetime:
    timestamp_of(at)
    return at


def _plain(given: Any) -> Any:
    return given


_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    **POLICY_CHECKS,
    **{name: OPTION_CHECKS[name] for name in HandlerValues.__annotations__},
    "cron": _plain,
    "every": parse_duration,
    "at": _time,
    "time_zone": _plain,
    "args": dict,
}


def edited(schedule: Schedule, spec: CodeSpec, changes: EditValues, handler: Handler[..., Any] | None) -> Schedule:
    """Return the schedule with these changes.

    Args:
        schedule: The schedule.
        spec: Its spec.
        changes: What is changed. Metadata and arguments that are not named stay.
        handler: The handler, which checks the arguments; None: it is not known here.

    Raises:
        ConfigurationError: A value is invalid.
        ArgumentsError: The arguments do not match the handler's signature, or are not JSON.
    """
    where = f"schedule {schedule.meta.name}"
    values = checked(where, changes, _CHECKS)
    times = _times(where, spec, {name: values.pop(name, None) for name in ("cron", "every", "at", "time_zone")})
    policies = policy_fields({name: values.pop(name) for name in POLICY_CHECKS if name in values})
    if (args := values.pop("args", None)) is not None:
        values["kwargs"] = _checked_arguments(where, spec.job.kwargs | args, handler)
    job = spec.job.model_dump() | _job_fields(where, spec, values)
    return Schedule(meta=schedule.meta, spec=make_spec(where, spec.model_dump() | times | policies | {"job": job}))


def _times(where: str, spec: CodeSpec, given: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of the times."""
    zone = given.pop("time_zone") or spec.time_zone
    times: dict[str, Any] = {"schedule": given.pop("cron"), **given}
    if sum(each is not None for each in times.values()) > 1:
        raise ConfigurationError(f"{where}: cron, every and at exclude each other; give one of them")
    if all(each is None for each in times.values()):
        times = {"schedule": spec.schedule, "every": spec.every, "at": spec.at}
    if times["schedule"] is not None:
        cron_times(where, times["schedule"], zone)
    return {**times, "time_zone": zone}


def _job_fields(where: str, spec: CodeSpec, values: dict[str, Any]) -> dict[str, Any]:
    """Return validated options of a job as fields of its spec."""
    if (retry := values.get("retry")) is not None and retry.function is not None:
        raise ConfigurationError(f"{where}: a retry function cannot be stored; give it to @app.job(retry=…)")
    found = {"ttl" if name == "result_ttl" else name: value for name, value in values.items()}
    if "metadata" in found:
        found["metadata"] = {**(spec.job.metadata or {}), **found["metadata"]}
    return found


def _checked_arguments(where: str, given: dict[str, Any], handler: Handler[..., Any] | None) -> dict[str, Any]:
    if handler is not None:
        return dict(from_json(handler.signature.encode((), given)))
    try:
        return dict(from_json(json_values.encode(given)))
    except Exception as error:  # a serializer of a user's class may raise any exception
        raise ArgumentsError(f"{where}: the arguments are not JSON: {error_message(error)}") from error
