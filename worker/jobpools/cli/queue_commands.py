"""`jobpools queues`: list queues, show one, pause and resume one, set its limits, clear it."""

from typing import Annotated

import typer

from jobpools.cli.command_group import Command, examples, list_group
from jobpools.cli.output import Output, document, report, show
from jobpools.cli.parameters import Format, Redis
from jobpools.cli.terminal import print_error
from jobpools.core.jobs.job import JobState
from jobpools.core.jobs.overflow import Overflow
from jobpools.core.text.plurals import count_of

COLUMNS = ("queue", "queued", "scheduled", "running", "dead", "oldest", "completed", "failed", "paused")

queues = list_group(
    "List, show, pause, resume, limit and clear queues.", "queues", "queues show emails",
    "queues pause emails --reason 'mail server is down'", "queues set emails --max-depth 50000",
)  # fmt: skip

Name = Annotated[str, typer.Argument(metavar="QUEUE", help="Name of the queue.", show_default=False)]


@queues.command("list", cls=Command, epilog=examples("queues", "queues --output json"))
def list_queues(redis: Redis = None, output: Format = Output.TABLE) -> None:
    """List queues: waiting, running and dead jobs, and pauses."""
    from jobpools.cli import queries

    show(queries.run_query(redis, queries.queues), COLUMNS, output, "no queue has had a job yet")


@queues.command("show", cls=Command, epilog=examples("queues show emails", "queues show emails --output json"))
def show_queue(name: Name, redis: Redis = None, output: Format = Output.YAML) -> None:
    """Show one queue: jobs by state and priority, limits and pause."""
    from jobpools.cli import queries, queue_queries

    found = queries.run_query(redis, lambda connection: queue_queries.details(connection, name))
    document(found, Output.YAML if output is Output.TABLE else output)


@queues.command("pause", cls=Command, epilog=examples("queues pause emails --reason 'mail server is down'"))
def pause_queue(
    name: Name,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why it is paused; shown with the queue and in the pool's conditions.")
    ] = "",
    by: Annotated[
        str, typer.Option(metavar="NAME", help="Who pauses it. Default: user@host.", show_default=False)
    ] = "",
    redis: Redis = None,
    output: Format = Output.TABLE,
) -> None:
    """Pause a queue: no worker claims its jobs until it is resumed. Running jobs continue; new jobs are accepted.

    The pause is kept in Redis and survives restarts. A pool is not scaled up for a paused queue.
    """
    from jobpools.cli import queries, queue_queries

    jobs = queries.run_query(redis, lambda connection: queue_queries.pause(connection, name, by, reason))
    waiting = count_of(jobs, "job waits", "jobs wait")
    report(f"queue {name} is paused; {waiting}", {"queue": name, "paused": True, "queued": jobs}, output)
    _warn_if_unused(redis, name)


@queues.command("resume", cls=Command, epilog=examples("queues resume emails"))
def resume_queue(name: Name, redis: Redis = None, output: Format = Output.TABLE) -> None:
    """Resume a paused queue: workers claim its jobs again."""
    from jobpools.cli import queries, queue_queries

    was_paused, jobs = queries.run_query(redis, lambda connection: queue_queries.resume(connection, name))
    waiting = count_of(jobs, "job waits", "jobs wait")
    text = f"queue {name} {'is resumed' if was_paused else 'was not paused'}; {waiting}"
    report(text, {"queue": name, "paused": False, "was_paused": was_paused, "queued": jobs}, output)
    _warn_if_unused(redis, name)


def _warn_if_unused(redis: str | None, name: str) -> None:
    """Write a hint to stderr if the queue has had no job: a pause of a mistyped name has no effect."""
    from jobpools.cli import queries, queue_queries

    if hint := queries.run_query(redis, lambda connection: queue_queries.unused_hint(connection, name)):
        print_error(hint)


@queues.command(
    "set", cls=Command,
    epilog=examples("queues set emails --max-depth 50000", "queues set emails --max-depth 1000 --overflow DropOldest"),
)  # fmt: skip
def set_limits(
    name: Name,
    max_depth: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Maximum number of queued jobs; 0: unlimited.", show_default=False),
    ] = None,
    overflow: Annotated[
        Overflow | None, typer.Option(help="What happens to a job that does not fit.", show_default=False)
    ] = None,
    max_scheduled: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Maximum number of scheduled jobs; 0: unlimited.", show_default=False),
    ] = None,
    redis: Redis = None,
    output: Format = Output.YAML,
) -> None:
    """Set limits of a queue, and print them all. Limits that are not given stay as they are.

    With Block, producers wait for room. DropNewest and DropOldest move a job to the dead-letter queue.
    """
    from jobpools.cli import queries, queue_queries
    from jobpools.core.jobs.policies import QueueLimits
    from jobpools.errors import ConfigurationError

    limits = QueueLimits(max_depth=max_depth, overflow=overflow, max_scheduled=max_scheduled)
    if not limits.model_dump(exclude_none=True):
        raise ConfigurationError(
            f"queues set {name}: no limit given; add --max-depth N, --overflow POLICY or --max-scheduled N"
        )
    found = queries.run_query(redis, lambda connection: queue_queries.set_limits(connection, name, limits))
    document(found, Output.YAML if output is Output.TABLE else output)
    _warn_if_unused(redis, name)


@queues.command("clear", cls=Command, epilog=examples("queues clear emails", "queues clear emails --yes"))
def clear_queue(
    name: Name,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    redis: Redis = None,
    output: Format = Output.TABLE,
) -> None:
    """Cancel all queued and scheduled jobs of a queue. Running jobs and dead letters stay."""
    from jobpools.cli import bulk
    from jobpools.core.jobs.job_filter import JobFilter
    from jobpools.store.job_changes import Change

    waiting = JobFilter(states=(JobState.QUEUED, JobState.SCHEDULED), queue=name)
    bulk.run(Change.CANCEL, bulk.Choice(chosen=waiting, confirmed=yes), redis, output)
