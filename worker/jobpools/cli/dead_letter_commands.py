"""`jobpools dead`: list, show, replay or purge dead letters."""

from dataclasses import replace

from jobpools.cli.command_group import Command, examples, list_group
from jobpools.cli.filter_options import DeadFilterOptions, with_options
from jobpools.cli.output import Output, document, show
from jobpools.cli.parameters import AllDead, AllLimit, DryRun, Format, JobId, JobIds, ListLimit, QueueName, Redis, Yes
from jobpools.core.jobs.job import JobState
from jobpools.errors import ConfigurationError

COLUMNS = ("id", "queue", "name", "reason", "attempts", "age", "note")

dead = list_group(
    "List, show, replay or purge dead letters.",
    "dead",
    "dead show 0197…",
    "dead replay --error 'no route' --newer-than 2h",
    "dead purge --queue emails --all",
)


@dead.command(
    "list",
    cls=Command,
    epilog=examples("dead list", "dead list --reason timeout --newer-than 2h", "dead list --queue emails -o json"),
)
@with_options(chosen=DeadFilterOptions)
def list_dead(
    *, chosen: DeadFilterOptions, limit: ListLimit = 50, redis: Redis = None, output: Format = Output.TABLE
) -> None:
    """List dead letters and why each job died, the latest first."""
    from jobpools.cli import job_queries, queries

    wanted = replace(chosen.filter(), states=(JobState.DEAD,))
    page = queries.run_query(redis, lambda connection: job_queries.search(connection, wanted, limit))
    show(page.rows, COLUMNS, output, "no dead letters")


@dead.command("show", cls=Command, epilog=examples("dead show 0197…", "dead show 0197… --output json"))
def show_dead(job_id: JobId, queue: QueueName = None, redis: Redis = None, output: Format = Output.YAML) -> None:
    """Show one dead letter: arguments, reason and attempts."""
    from jobpools.cli import job_queries, queries
    from jobpools.store.find_job import find_job

    view = queries.run_query(redis, lambda connection: find_job(connection, job_id, queue))
    if view.state is not JobState.DEAD:
        raise ConfigurationError(f"job {view.id}: it is {view.state}, not dead; use jobpools jobs show {view.id}")
    known = {key: value for key, value in job_queries.details(view).items() if value not in (None, [], "")}
    document(known, Output.YAML if output is Output.TABLE else output)


@dead.command(
    "replay",
    cls=Command,
    epilog=examples("dead replay 0197… 0198…", "dead replay --queue emails --all", "dead replay --reason timeout"),
)
@with_options(chosen=DeadFilterOptions)
def replay_dead(  # noqa: PLR0913  # a command's own options
    *,
    chosen: DeadFilterOptions,
    ids: JobIds = None,
    all_dead: AllDead = False,
    limit: AllLimit = None,
    dry_run: DryRun = False,
    redis: Redis = None,
    output: Format = Output.TABLE,
) -> None:
    """Put dead jobs back into their queue and reset their attempts.

    --all and the conditions select jobs that are dead when the command begins, each once: jobs that die again meanwhile
    stay dead.
    """
    from jobpools.cli import bulk
    from jobpools.store.job_changes import Change

    wanted = chosen.filter()
    bulk.check_choice("dead replay", ids or [], wanted, all_jobs=all_dead)
    choice = bulk.Choice(ids or [], wanted, limit, past="replayed", confirmed=True, dry_run=dry_run)
    bulk.run(Change.RETRY, choice, redis, output)


@dead.command(
    "purge",
    cls=Command,
    epilog=examples("dead purge 0197…", "dead purge --queue emails --all", "dead purge --older-than 30d --dry-run"),
)
@with_options(chosen=DeadFilterOptions)
def purge_dead(  # noqa: PLR0913  # a command's own options
    *,
    chosen: DeadFilterOptions,
    ids: JobIds = None,
    all_dead: AllDead = False,
    limit: AllLimit = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    redis: Redis = None,
    output: Format = Output.TABLE,
) -> None:
    """Delete dead jobs for good.

    --all and the conditions select jobs that are dead when the command begins.
    """
    from jobpools.cli import bulk
    from jobpools.store.job_changes import Change

    wanted = chosen.filter()
    bulk.check_choice("dead purge", ids or [], wanted, all_jobs=all_dead)
    bulk.run(Change.PURGE, bulk.Choice(ids or [], wanted, limit, confirmed=yes, dry_run=dry_run), redis, output)
