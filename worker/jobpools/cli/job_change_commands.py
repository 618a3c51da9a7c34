"""`jobpools jobs retry | run-now | reschedule | cancel | delete`: change one job, or all that match a filter."""

from dataclasses import dataclass
from typing import Annotated

import typer

from jobpools.cli.command_group import Command, examples
from jobpools.cli.filter_options import FilterOptions, with_options
from jobpools.cli.output import Output
from jobpools.cli.parameters import AllLimit, DryRun, Format, JobIds, Redis, Yes
from jobpools.cli.terminal import write
from jobpools.core.jobs.job import JobState
from jobpools.core.jobs.job_filter import JobFilter
from jobpools.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class JobSelection:
    """The options of every command that changes jobs, besides those of a filter."""

    ids: JobIds = None
    all_jobs: Annotated[bool, typer.Option("--all", help="All jobs of --queue that the command applies to.")] = False
    limit: AllLimit = None
    dry_run: DryRun = False
    yes: Yes = False
    redis: Redis = None
    output: Format = Output.TABLE

    def checked(self, command: str, chosen: FilterOptions) -> JobFilter:
        """Return the filter. Raises ConfigurationError unless either ids or a filter are given."""
        from jobpools.cli import bulk

        wanted = chosen.filter()
        bulk.check_choice(command, self.ids or [], wanted, all_jobs=self.all_jobs)
        return wanted


@with_options(selection=JobSelection, chosen=FilterOptions)
def retry_jobs(*, selection: JobSelection, chosen: FilterOptions) -> None:
    """Put dead jobs back into their queue and reset their attempts."""
    _run("retry", selection, chosen)


@with_options(selection=JobSelection, chosen=FilterOptions)
def run_jobs_now(*, selection: JobSelection, chosen: FilterOptions) -> None:
    """Queue scheduled jobs at once.

    Scheduled jobs have a delay or a time, or wait for a retry.
    """
    _run("run-now", selection, chosen)


@with_options(selection=JobSelection, chosen=FilterOptions)
def reschedule_jobs(
    *,
    selection: JobSelection,
    chosen: FilterOptions,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="When: 2027-01-01T09:00:00+01:00.")] = None,
    delay: Annotated[str | None, typer.Option(metavar="DURATION", help="How long from now: 90s, 1h30m.")] = None,
) -> None:
    """Let queued and scheduled jobs wait for another time."""
    from jobpools.cli.filter_options import parse_time
    from jobpools.cli.parameters import seconds_of
    from jobpools.store.job_changes import due_argument

    if (at is None) == (delay is None):
        raise ConfigurationError("jobs reschedule: give either --at or --delay, as in --delay 10m")
    due_at = None if at is None else parse_time("--at", at).timestamp()
    _run("reschedule", selection, chosen, due_argument(due_at, seconds_of("--delay", delay or "0s")))


@with_options(selection=JobSelection, chosen=FilterOptions)
def cancel_jobs(*, selection: JobSelection, chosen: FilterOptions) -> None:
    """Cancel queued and scheduled jobs, and stop running ones."""
    from jobpools.cli import job_queries, queries

    chosen_ids = selection.ids or []
    if len(chosen_ids) != 1 or selection.output is not Output.TABLE or selection.dry_run:
        _run("cancel", selection, chosen)
        return
    wanted = selection.checked("jobs cancel", chosen)
    (job_id,) = chosen_ids
    where, found = queries.run_query(
        selection.redis, lambda connection: job_queries.cancel(connection, job_id, wanted.queue)
    )
    result = "is running; its worker was told to stop it" if found is JobState.RUNNING else f"is {found}"
    write(f"job {job_id} of queue {where} {result}\n")


@with_options(selection=JobSelection, chosen=FilterOptions)
def delete_jobs(*, selection: JobSelection, chosen: FilterOptions) -> None:
    """Delete dead, completed and cancelled jobs for good."""
    _run("delete", selection, chosen)


def _run(command: str, selection: JobSelection, chosen: FilterOptions, due: str = "") -> None:
    from jobpools.cli import bulk
    from jobpools.store.job_changes import Change

    wanted = selection.checked(f"jobs {command}", chosen)
    choice = bulk.Choice(
        selection.ids or [], wanted, selection.limit, due, confirmed=selection.yes, dry_run=selection.dry_run
    )
    bulk.run(Change(command), choice, selection.redis, selection.output)


def add_to(jobs: typer.Typer) -> None:
    """Add the commands to the group `jobs`."""
    for name, command, *lines in (
        ("retry", retry_jobs, "jobs retry 0197…", "jobs retry --queue emails --text timeout --ended-after 2h"),
        ("run-now", run_jobs_now, "jobs run-now 0197…", "jobs run-now --queue emails --all --dry-run"),
        ("reschedule", reschedule_jobs, "jobs reschedule 0197… --delay 10m", "jobs reschedule --tag vip --delay 1h"),
        ("cancel", cancel_jobs, "jobs cancel 0197…", "jobs cancel --queue emails --all --state scheduled"),
        ("delete", delete_jobs, "jobs delete 0197…", "jobs delete --state completed --ended-before 12h --yes"),
    ):
        jobs.command(name, cls=Command, epilog=examples(*lines))(command)
