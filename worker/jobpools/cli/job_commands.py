"""`jobpools jobs`: list jobs, show one, cancel some."""

from typing import Annotated

import typer

from jobpools.cli.command_group import Command, examples, list_group
from jobpools.cli.output import Output, document, show
from jobpools.cli.parameters import AllLimit, Format, JobId, JobIds, ListLimit, QueueName, Redis, Yes
from jobpools.cli.terminal import write
from jobpools.core.jobs.job import JobState

COLUMNS = ("id", "queue", "state", "name", "attempts", "age", "due", "note")

jobs = list_group(
    "List jobs, show one, cancel some.", "jobs --queue emails --state running", "jobs show 0197…", "jobs -o json"
)


@jobs.command(
    "list", cls=Command, epilog=examples("jobs", "jobs list --queue emails --state dead", "jobs -o yaml --limit 5")
)
def list_jobs(
    queue: QueueName = None,
    state: Annotated[JobState | None, typer.Option("--state", "-s", help="Only jobs in this state.")] = None,
    limit: ListLimit = 50,
    redis: Redis = None,
    output: Format = Output.TABLE,
) -> None:
    """List jobs in the order in which they run; ended jobs newest first."""
    from jobpools.cli import job_queries, queries

    rows = queries.run_query(redis, lambda connection: job_queries.jobs(connection, queue, state, limit))
    show(rows, COLUMNS, output, "no jobs found")


@jobs.command("show", cls=Command, epilog=examples("jobs show 0197…", "jobs show 0197… --output json"))
def show_job(job_id: JobId, queue: QueueName = None, redis: Redis = None, output: Format = Output.YAML) -> None:
    """Show one job: its arguments, its result and its attempts."""
    from jobpools.cli import job_queries, queries

    view = queries.run_query(redis, lambda connection: job_queries.find(connection, job_id, queue))
    known = {key: value for key, value in job_queries.details(view).items() if value not in (None, [], "")}
    document(known, Output.YAML if output is Output.TABLE else output)


@jobs.command(
    "cancel", cls=Command, epilog=examples("jobs cancel 0197…", "jobs cancel --queue emails --all --state scheduled")
)
def cancel_jobs(  # noqa: PLR0913  # a command's own options
    ids: JobIds = None,
    *,
    queue: QueueName = None,
    all_jobs: Annotated[bool, typer.Option("--all", help="All jobs of --queue that have not ended.")] = False,
    state: Annotated[
        JobState | None, typer.Option("--state", "-s", help="With --all: only queued, scheduled or running jobs.")
    ] = None,
    limit: AllLimit = None,
    yes: Yes = False,
    redis: Redis = None,
    output: Format = Output.TABLE,
) -> None:
    """Cancel jobs: queued and scheduled ones do not run, running ones are stopped."""
    from jobpools.cli import bulk, job_queries, queries
    from jobpools.errors import ConfigurationError
    from jobpools.store.cancellations import CANCELLABLE

    chosen = ids or []
    bulk.check_choice("jobs cancel", chosen, all_jobs=all_jobs)
    if state is not None and state not in CANCELLABLE:
        raise ConfigurationError(
            f"--state: a {state} job has ended and cannot be cancelled; use queued, scheduled or running"
        )
    if len(chosen) != 1 or output is not Output.TABLE:
        states = CANCELLABLE if state is None else (state,)
        bulk.run("cancel", bulk.Choice(chosen, queue, all_jobs, limit, states), redis, output, confirmed=yes)
        return
    (job_id,) = chosen
    where, found = queries.run_query(redis, lambda connection: job_queries.cancel(connection, job_id, queue))
    result = "is running; its worker was told to stop it" if found is JobState.RUNNING else f"is {found}"
    write(f"job {job_id} of queue {where} {result}\n")
