"""`jobpools cron edit`: change a schedule made in code, and show what changes."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from jobpools.cli.command_group import Command, examples
from jobpools.cli.filter_options import with_options
from jobpools.cli.output import Output, show
from jobpools.cli.parameters import Format, Redis
from jobpools.cli.terminal import print_error
from jobpools.core.text.durations import format_duration
from jobpools.errors import ConfigurationError

if TYPE_CHECKING:
    from jobpools.schedule_edits import EditValues

COLUMNS = ("field", "before", "after")
DURATIONS = ("timeout", "expires", "result_ttl", "starting_deadline")
"""Fields that hold seconds."""
Text = str | None
Words = list[str] | None


@dataclass(frozen=True, slots=True)
class Edits:
    """The options of `jobpools cron edit` that say what changes."""

    cron: Annotated[Text, typer.Option(metavar="EXPRESSION", help="New times: a cron expression.")] = None
    every: Annotated[Text, typer.Option(metavar="DURATION", help="New times: an interval, as in 15m.")] = None
    at: Annotated[Text, typer.Option(metavar="TIME", help="New time: 2027-01-01T09:00:00+01:00.")] = None
    time_zone: Annotated[Text, typer.Option(metavar="ZONE", help="IANA time zone of the cron expression.")] = None
    arg: Annotated[
        Words, typer.Option(metavar="name=value", help="Argument to change. JSON is decoded. May be repeated.")
    ] = None
    queue: Annotated[Text, typer.Option("--queue", "-q", metavar="NAME", help="Queue of its jobs.")] = None
    priority: Annotated[Text, typer.Option(metavar="PRIORITY", help="high, normal or low.")] = None
    tag: Annotated[Words, typer.Option(metavar="WORD", help="Tag, in place of those before. May be repeated.")] = None
    metadata: Annotated[
        Words, typer.Option(metavar="KEY=VALUE", help="Metadata to change. JSON is decoded. May be repeated.")
    ] = None
    timeout: Annotated[Text, typer.Option(metavar="DURATION", help="Maximum duration of an attempt.")] = None
    expires: Annotated[Text, typer.Option(metavar="DURATION", help="Time after which no attempt starts.")] = None
    result_ttl: Annotated[Text, typer.Option(metavar="DURATION", help="How long a completed job is kept.")] = None
    max_crashes: Annotated[int | None, typer.Option(metavar="N", min=1, help="Crashes after which a job is dead.")] = (
        None
    )
    concurrency_policy: Annotated[Text, typer.Option(metavar="POLICY", help="Allow, Forbid or Replace.")] = None
    catch_up: Annotated[Text, typer.Option(metavar="WHICH", help="Ticks fired late: None, Latest, All.")] = None
    starting_deadline: Annotated[
        Text, typer.Option(metavar="DURATION", help="Time after which a tick that was not fired is missed.")
    ] = None

    def values(self) -> "EditValues":
        """Return the changes as `app.scheduler.edit` takes them. Raises ConfigurationError and ArgumentsError."""
        from jobpools.cli.enqueue_job import parse_arguments, parse_metadata
        from jobpools.cli.filter_options import parse_time

        found: Any = {name: value for name in type(self).__slots__ if (value := getattr(self, name)) is not None}
        if "at" in found:
            found["at"] = parse_time("--at", found["at"])
        if "arg" in found:
            found["args"] = parse_arguments(found.pop("arg"))
        if "metadata" in found:
            found["metadata"] = parse_metadata(found["metadata"])
        if "tag" in found:
            found["tags"] = found.pop("tag")
        return cast("EditValues", found)


@with_options(edits=Edits)
def edit_schedule(
    *,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name or whole key, as in code:shop/refresh.", show_default=False)
    ],
    edits: Edits,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; show what would change.")] = False,
    redis: Redis = None,
    output: Format = Output.TABLE,
) -> None:
    """Change a schedule made in code, and its job.

    What is not given stays. The command prints what changes, before and after. New times count from now on. For a
    CronJobSpec, edit its YAML.
    """
    from jobpools.cli import schedule_queries

    values = edits.values()
    if not values:
        raise ConfigurationError(f"cron edit {name}: nothing to change; give an option, as in --cron '0 6 * * *'")
    found = schedule_queries.run_named(
        redis, name, lambda scheduler, key: schedule_queries.edit(scheduler, key, values, dry_run=dry_run)
    )
    rows = [_readable(row) for row in found.rows] if output is Output.TABLE else found.rows
    show(rows, COLUMNS, output, f"schedule {found.key} has these values already")
    if found.rows and output is Output.TABLE:
        print_error(f"schedule {found.key} {'would be' if dry_run else 'is'} changed")
    if found.declared_by:
        print_error(
            f"schedule {found.key}: {found.declared_by} declares it; a worker of it that starts writes its declaration "
            f"again; change @app.cron to keep this"
        )


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with durations and objects as a person reads them."""

    def text(value: Any) -> Any:
        if row["field"] in DURATIONS and value is not None:
            return format_duration(float(value))
        return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value

    return {"field": row["field"], "before": text(row["before"]), "after": text(row["after"])}


def add_to(group: typer.Typer) -> None:
    """Add the command to `jobpools cron`."""
    lines = examples(
        "cron edit refresh --every 5m --dry-run", "cron edit daily-report --cron '0 7 * * *' --arg format=csv"
    )
    group.command("edit", cls=Command, epilog=lines)(edit_schedule)
