"""`jobpools dead`: list, replay or purge dead letters."""

from jobpools.cli.command_group import Command, examples, list_group
from jobpools.cli.output import Output, show
from jobpools.cli.parameters import AllDead, AllLimit, Format, JobIds, ListLimit, QueueName, Redis, Yes
from jobpools.core.jobs.job import JobState

COLUMNS = ("id", "queue", "name", "reason", "attempts", "age", "note")

dead = list_group("List, replay or purge dead letters.", "dead", "dead replay 0197…", "dead purge --queue emails --all")


@dead.command("list", cls=Command, epilog=examples("dead list", "dead list --queue emails --output json"))
def list_dead(
    queue: QueueName = None, limit: ListLimit = 50, redis: Redis = None, output: Format = Output.TABLE
) -> None:
    """List dead letters and why each job died, the latest first."""
    from jobpools.cli import job_queries, queries

    rows = queries.run_query(redis, lambda connection: job_queries.jobs(connection, queue, JobState.DEAD, limit))
    show(rows, COLUMNS, output, "no dead letters")


@dead.command("replay", cls=Command, epilog=examples("dead replay 0197… 0198…", "dead replay --queue emails --all"))
def replay_dead(
    ids: JobIds = None,
    *,
    queue: QueueName = None,
    all_dead: AllDead = False,
    limit: AllLimit = None,
    redis: Redis = None,
    output: Format = Output.TABLE,
) -> None:
    """Put dead jobs back into their queue and reset their attempts.

    --all selects the jobs that are dead when the command begins, each once: jobs that die again meanwhile stay dead.
    """
    from jobpools.cli import bulk

    bulk.check_choice("dead replay", ids or [], all_jobs=all_dead)
    bulk.run("replay", bulk.Choice(ids or [], queue, all_dead, limit), redis, output, confirmed=True)


@dead.command("purge", cls=Command, epilog=examples("dead purge 0197…", "dead purge --queue emails --all"))
def purge_dead(  # noqa: PLR0913  # a command's own options
    ids: JobIds = None,
    *,
    queue: QueueName = None,
    all_dead: AllDead = False,
    limit: AllLimit = None,
    yes: Yes = False,
    redis: Redis = None,
    output: Format = Output.TABLE,
) -> None:
    """Delete dead jobs for good. --all selects the jobs that are dead when the command begins."""
    from jobpools.cli import bulk

    bulk.check_choice("dead purge", ids or [], all_jobs=all_dead)
    bulk.run("purge", bulk.Choice(ids or [], queue, all_dead, limit), redis, output, confirmed=yes)
