"""`jobpools cron`: the schedules in Redis, of CronJobSpecs and made in code."""

from typing import Annotated

import typer

from jobpools.cli import schedule_edit_command
from jobpools.cli.command_group import Command, examples, list_group
from jobpools.cli.output import Output, document, format_time, report, show
from jobpools.cli.parameters import Format, Redis

COLUMNS = ("schedule", "times", "zone", "next", "last", "state", "fired", "missed", "reason")

cron = list_group(
    "List, show and run schedules; change those made in code.",
    "cron", "cron show daily-report", "cron run daily-report", "cron edit daily-report --cron '0 7 * * *'",
)  # fmt: skip

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Name or whole key, as in code:shop/refresh.", show_default=False)
]


@cron.command("list", cls=Command, epilog=examples("cron", "cron list --output yaml"))
def list_schedules(redis: Redis = None, output: Format = Output.TABLE) -> None:
    """List schedules: next tick, last fire, and the state of its job.

    A CronJobSpec appears once an operator or `jobpools up` has seen it. Overdue means that a tick is due and not fired.
    """
    from jobpools.cli import schedule_queries

    views = schedule_queries.run(redis, lambda scheduler: scheduler.list())
    show([schedule_queries.row(view) for view in views], COLUMNS, output, "no schedule has been seen yet")


@cron.command("show", cls=Command, epilog=examples("cron show daily-report", "cron show code:shop/refresh -o json"))
def show_schedule(name: Name, redis: Redis = None, output: Format = Output.YAML) -> None:
    """Show one schedule: its times, next 10 ticks and last 20 fires."""
    from jobpools.cli import schedule_queries

    found = schedule_queries.run_named(redis, name, schedule_queries.details)
    document(found, Output.YAML if output is Output.TABLE else output)


@cron.command("enable", cls=Command, epilog=examples("cron enable refresh"))
def enable_schedule(name: Name, redis: Redis = None, output: Format = Output.TABLE) -> None:
    """Enable a schedule made in code: it fires at its next tick."""
    from jobpools.cli import schedule_queries

    found = schedule_queries.run_named(redis, name, lambda scheduler, key: scheduler.enable(key))
    due = None if found.next_run is None else format_time(found.next_run.timestamp())
    text = f"schedule {found.key} is enabled; it fires next {'never' if due is None else f'at {due}'}"
    report(text, {"schedule": found.key, "enabled": True, "next": due}, output)


@cron.command("disable", cls=Command, epilog=examples("cron disable refresh"))
def disable_schedule(name: Name, redis: Redis = None, output: Format = Output.TABLE) -> None:
    """Disable a schedule made in code: its ticks count as missed.

    The switch is kept in Redis and survives restarts and deploys. A CronJobSpec has `spec.suspend` instead.
    """
    from jobpools.cli import schedule_queries

    found = schedule_queries.run_named(redis, name, lambda scheduler, key: scheduler.disable(key))
    report(f"schedule {found.key} is disabled", {"schedule": found.key, "enabled": False}, output)


@cron.command("run", cls=Command, epilog=examples("cron run daily-report"))
def run_schedule(name: Name, redis: Redis = None, output: Format = Output.TABLE) -> None:
    """Enqueue the job of a schedule now, in addition to its ticks.

    The command prints the job's id. It runs a disabled schedule, too.
    """
    from jobpools.cli import schedule_queries

    job = schedule_queries.run_named(redis, name, lambda scheduler, key: scheduler.run(key))
    report(job.id, {"id": job.id, "queue": job.queue}, output)


@cron.command("next", cls=Command, epilog=examples("cron next daily-report", "cron next daily-report --limit 3"))
def next_ticks(
    name: Name,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1000, help="Number of ticks.")] = 10,
    redis: Redis = None,
    output: Format = Output.TABLE,
) -> None:
    """List the next ticks of a schedule, in UTC.

    A disabled schedule has ticks, too; they count as missed.
    """
    from jobpools.cli import schedule_queries

    ticks = schedule_queries.run_named(redis, name, lambda scheduler, key: scheduler.next(key, limit))
    show([{"next": format_time(each.timestamp())} for each in ticks], ("next",), output, "no tick will follow")


schedule_edit_command.add_to(cron)


@cron.command("delete", cls=Command, epilog=examples("cron delete refresh"))
def delete_schedule(name: Name, redis: Redis = None, output: Format = Output.TABLE) -> None:
    """Delete a schedule made in code. A worker that starts writes again what `@app.cron` declares."""
    from jobpools.cli import schedule_queries

    key = schedule_queries.run_named(redis, name, schedule_queries.delete)
    report(f"schedule {key} is deleted", {"schedule": key, "deleted": True}, output)
