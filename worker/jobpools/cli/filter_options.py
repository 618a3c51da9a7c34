"""The options that select jobs, shared by the commands that list or change jobs."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import typer

from jobpools.cli.parameters import seconds_of
from jobpools.core.jobs.job import DeadReason, JobState
from jobpools.core.jobs.job_filter import JobFilter
from jobpools.errors import ConfigurationError

REASON_HELP = f"Only dead jobs with this reason: {', '.join(DeadReason)}."


@dataclass(frozen=True, slots=True)
class FilterOptions:
    """The values of the options; all of them are conditions that a job must meet."""

    queue: Annotated[str | None, typer.Option("--queue", "-q", metavar="NAME", help="Only jobs of this queue.")] = None
    state: Annotated[
        list[JobState] | None,
        typer.Option(
            "--state", "-s", metavar="STATE", help=f"Only jobs in this state: {', '.join(JobState)}; may be repeated."
        ),
    ] = None
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Only jobs of this handler.")] = None
    worker: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only jobs that run on this worker or host, or failed on it.")
    ] = None
    tag: Annotated[
        list[str] | None, typer.Option(metavar="TAG", help="Only jobs with this tag; if repeated, with all of them.")
    ] = None
    text: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only jobs with this text in their arguments or errors.")
    ] = None
    reason: Annotated[DeadReason | None, typer.Option(metavar="REASON", help=REASON_HELP)] = None
    created_after: Annotated[
        str | None, typer.Option(metavar="TIME", help="Enqueued at or after this time: 2h (ago), or 2027-01-01T09:00Z.")
    ] = None
    created_before: Annotated[str | None, typer.Option(metavar="TIME", help="Enqueued before this time.")] = None
    ended_after: Annotated[
        str | None, typer.Option(metavar="TIME", help="Completed, cancelled or dead since this time.")
    ] = None
    ended_before: Annotated[
        str | None, typer.Option(metavar="TIME", help="Completed, cancelled or dead before this time.")
    ] = None

    def filter(self) -> JobFilter:
        """Return the filter. Raises ConfigurationError, which names the option."""
        from jobpools.filters import make_filter

        return make_filter(
            "filter",
            queue=self.queue,
            state=self.state or None,
            name=self.name,
            worker=self.worker,
            tags=self.tag or None,
            text=self.text,
            reason=self.reason,
            created_after=_time("--created-after", self.created_after),
            created_before=_time("--created-before", self.created_before),
            ended_after=_time("--ended-after", self.ended_after),
            ended_before=_time("--ended-before", self.ended_before),
        )


@dataclass(frozen=True, slots=True)
class DeadFilterOptions:
    """The values of the options of `jobpools dead`; all of them are conditions that a dead letter must meet."""

    queue: Annotated[str | None, typer.Option("--queue", "-q", metavar="NAME", help="Only jobs of this queue.")] = None
    reason: Annotated[DeadReason | None, typer.Option(metavar="REASON", help=REASON_HELP)] = None
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Only jobs of this handler.")] = None
    text: Annotated[
        str | None,
        typer.Option(
            "--error", "--text", metavar="TEXT", help="Only jobs with this text in their errors or arguments."
        ),
    ] = None
    older_than: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only jobs that died before this time, as in 7d (ago).")
    ] = None
    newer_than: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only jobs that died since this time, as in 2h (ago).")
    ] = None

    def filter(self) -> JobFilter:
        """Return the filter. Raises ConfigurationError, which names the option."""
        from jobpools.filters import make_filter

        return make_filter(
            "filter",
            queue=self.queue,
            reason=self.reason,
            name=self.name,
            text=self.text,
            ended_before=_time("--older-than", self.older_than),
            ended_after=_time("--newer-than", self.newer_than),
        )


def _time(option: str, text: str | None) -> datetime | float | None:
    """Return a time, or how many seconds ago it was."""
    if text is None:
        return None
    return parse_time(option, text, "how long ago, as in 2h, or ") if "-" in text else seconds_of(option, text)


def parse_time(option: str, text: str, alternative: str = "") -> datetime:
    """Return a time with its offset. Raises ConfigurationError, which names the option."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ConfigurationError(
            f"{option}: {text!r} is not a time; write {alternative}a time with its offset, as in "
            "2027-01-01T09:00:00+01:00"
        )
    return found


def with_options(**groups: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that gives a command the options of groups; it receives each group as the named parameter.

    A group is a dataclass whose fields are options.
    """
    fields = {
        name: [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in inspect.signature(group, eval_str=True).parameters.values()
        ]
        for name, group in groups.items()
    }

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = [parameter for parameter in signature.parameters.values() if parameter.name not in groups]

        @functools.wraps(command)
        def run(**options: Any) -> None:
            for name, group in groups.items():
                options[name] = group(**{parameter.name: options.pop(parameter.name) for parameter in fields[name]})
            command(**options)

        parameters = [*(parameter for group in fields.values() for parameter in group), *own]
        vars(run)["__signature__"] = signature.replace(parameters=parameters)
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        return run

    return decorate
