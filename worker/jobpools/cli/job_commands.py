"""`jobpools jobs`: list jobs and show one."""

import sys
from typing import Annotated

import typer

from jobpools.cli import job_change_commands
from jobpools.cli.command_group import Command, examples, list_group
from jobpools.cli.filter_options import FilterOptions, with_options
from jobpools.cli.output import Output, document, show
from jobpools.cli.parameters import Format, JobId, ListLimit, QueueName, Redis

COLUMNS = ("id", "queue", "state", "name", "attempts", "age", "due", "note")

jobs = list_group(
    "List jobs, show one, change some.",
    "jobs --queue emails --state running",
    "jobs show 0197…",
    "jobs retry --text timeout",
)


@jobs.command(
    "list",
    cls=Command,
    epilog=examples(
        "jobs",
        "jobs list --queue emails --state dead --text timeout --ended-after 2h",
        "jobs list --tag vip --created-before 2027-01-01T09:00+01:00 --limit 5 -o yaml",
    ),
)
@with_options(chosen=FilterOptions)
def list_jobs(
    *,
    chosen: FilterOptions,
    limit: ListLimit = 50,
    cursor: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Continue after the page that printed this cursor.")
    ] = None,
    redis: Redis = None,
    output: Format = Output.TABLE,
) -> None:
    """List jobs: waiting ones in order, ended ones newest first.

    Waiting jobs come by priority, and then in the order in which they run. A command examines a limited number of jobs,
    and then prints a cursor with which the next one continues.
    """
    from jobpools.cli import job_queries, queries

    wanted = chosen.filter()
    page = queries.run_query(redis, lambda connection: job_queries.search(connection, wanted, limit, cursor))
    show(page.rows, COLUMNS, output, "no jobs found" if page.cursor is None else "no jobs found so far")
    if page.cursor is not None:
        sys.stderr.write(
            f"examined {page.examined:,} of about {page.total:,} jobs; continue with --cursor {page.cursor}\n"
        )


@jobs.command("show", cls=Command, epilog=examples("jobs show 0197…", "jobs show 0197… --output json"))
def show_job(job_id: JobId, queue: QueueName = None, redis: Redis = None, output: Format = Output.YAML) -> None:
    """Show one job: its arguments, its result and its attempts."""
    from jobpools.cli import job_queries, queries

    found = queries.run_query(redis, lambda connection: job_queries.read(connection, job_id, queue))
    known = {key: value for key, value in found.items() if value not in (None, [], "")}
    document(known, Output.YAML if output is Output.TABLE else output)


job_change_commands.add_to(jobs)
