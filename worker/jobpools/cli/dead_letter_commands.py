"""`jobpools dead`: list, replay or purge dead letters."""

from jobpools.cli.command_group import Command, examples, list_group
from jobpools.cli.output import Output, show
from jobpools.cli.parameters import AllDead, AllLimit, Format, JobIds, ListLimit, QueueName, Redis, Yes
from jobpools.core.jobs.job import JobState
from jobpools.core.jobs.job_filter import JobFilter

COLUMNS = ("id", "queue", "name", "reason", "attempts", "age", "note")

dead = list_group("List, replay or purge dead letters.", "dead", "dead replay 0197…", "dead purge --queue emails --all")


@dead.command("list", cls=Command, epilog=examples("dead list", "dead list --queue emails --output json"))
def list_dead(
    queue: QueueName = None, limit: ListLimit = 50, redis: Redis = None, output: Format = Output.TABLE
) -> None:
    """List dead letters and why each job died, the latest first."""
    from jobpools.cli import job_queries, queries

    dead_jobs = JobFilter(states=(JobState.DEAD,), queue=queue)
    page = queries.run_query(redis, lambda connection: job_queries.search(connection, dead_jobs, limit))
    show(page.rows, COLUMNS, output, "no dead letters")


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
    from jobpools.store.job_changes import Change

    wanted = JobFilter(queue=queue)
    bulk.check_choice("dead replay", ids or [], wanted, all_jobs=all_dead)
    choice = bulk.Choice(ids or [], wanted, limit, past="replayed", confirmed=True)
    bulk.run(Change.RETRY, choice, redis, output)


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
    from jobpools.store.job_changes import Change

    wanted = JobFilter(queue=queue)
    bulk.check_choice("dead purge", ids or [], wanted, all_jobs=all_dead)
    bulk.run(Change.PURGE, bulk.Choice(ids or [], wanted, limit, confirmed=yes), redis, output)
