"""`queues`, `workers`, `jobs …` and `dead …`: what is in Redis, and the few things that people do to it by hand."""

from typing import Annotated, Any

import typer

from jobpools.cli.output import Output, document, show
from jobpools.core.job import JobState

Redis = Annotated[str | None, typer.Option("--redis", envvar="JOBPOOLS_REDIS_URL", help="URL of Redis or Valkey.")]
Form = Annotated[Output, typer.Option("--output", "-o", help="table, json or yaml.")]
QueueName = Annotated[str | None, typer.Option("--queue", "-q", help="Only this queue.")]
Ids = Annotated[list[str], typer.Argument(help="Ids of jobs.", show_default=False)]
MaybeIds = Annotated[list[str] | None, typer.Argument(help="Ids of jobs.", show_default=False)]
Every = Annotated[bool, typer.Option("--all", help="All dead jobs of --queue.")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many.")]

JOB_COLUMNS = ("id", "queue", "state", "name", "attempts", "age", "due", "note")

jobs = typer.Typer(rich_markup_mode=None, help="Jobs: list, show one, cancel one.", add_completion=False)
dead = typer.Typer(rich_markup_mode=None, help="The dead-letter queue: list, replay, purge.", no_args_is_help=True)


def queues(redis: Redis = None, output: Form = Output.TABLE) -> None:
    """Queues: how much waits, runs, died."""
    from jobpools.cli import asking

    columns = ("queue", "queued", "scheduled", "running", "dead", "oldest", "completed", "failed")
    show(asking.ask(redis, asking.queues), columns, output, "no queue has had a job yet")


def workers(redis: Redis = None, output: Form = Output.TABLE) -> None:
    """Workers that reported in the last 30 s."""
    from jobpools.cli import asking

    columns = ("worker", "pool", "slots", "busy", "completed", "failed", "draining", "memory", "age", "seen")
    show(asking.ask(redis, asking.workers), columns, output, "no worker has reported lately")


@jobs.callback(
    invoke_without_command=True,
    epilog="\b\nExamples:\n  jobpools jobs --queue emails --state dead\n  jobpools jobs show 0197…",
)
def _jobs(
    context: typer.Context,
    queue: QueueName = None,
    state: Annotated[JobState | None, typer.Option("--state", "-s", help="Only jobs in this state.")] = None,
    limit: Limit = 50,
    redis: Redis = None,
    output: Form = Output.TABLE,
) -> None:
    if context.invoked_subcommand is not None:
        context.obj = (redis, output)
        return
    from jobpools.cli import asking

    rows = asking.ask(redis, lambda connection: asking.jobs(connection, queue, state, limit))
    show(rows, JOB_COLUMNS, output, "no such job")


@jobs.command("show")
def jobs_show(
    id: Annotated[str, typer.Argument(help="The job's id.")],  # noqa: A002  # the job's own word
    queue: QueueName = None,
    redis: Redis = None,
    output: Form = Output.YAML,
) -> None:
    """One job with its arguments, its result and what it went through."""
    from jobpools.cli import asking

    view = asking.ask(redis, lambda connection: asking.find(connection, id, queue))
    document(_told(asking.details(view)), Output.YAML if output is Output.TABLE else output)


@jobs.command("cancel")
def jobs_cancel(
    id: Annotated[str, typer.Argument(help="The job's id.")],  # noqa: A002  # the job's own word
    queue: QueueName = None,
    redis: Redis = None,
) -> None:
    """Take a job out of its queue, or have its worker stop it."""
    from jobpools.cli import asking

    where, state = asking.ask(redis, lambda connection: asking.cancel(connection, id, queue))
    said = "its worker is told to stop it" if state is JobState.RUNNING else f"it is {state}"
    typer.echo(f"job {id} of queue {where}: {said}")


@dead.command("list")
def dead_list(queue: QueueName = None, limit: Limit = 50, redis: Redis = None, output: Form = Output.TABLE) -> None:
    """Dead jobs, the latest first, and why they died."""
    from jobpools.cli import asking

    rows = asking.ask(redis, lambda connection: asking.jobs(connection, queue, JobState.DEAD, limit))
    show(rows, ("id", "queue", "name", "attempts", "age", "note"), output, "no job is dead")


@dead.command("replay")
def dead_replay(ids: MaybeIds = None, *, queue: QueueName = None, every: Every = False, redis: Redis = None) -> None:
    """Put dead jobs back into their queue, with all their attempts ahead of them again."""
    _dead("replay", "put back", ids or [], queue, every=every, redis=redis)


@dead.command("purge")
def dead_purge(ids: MaybeIds = None, *, queue: QueueName = None, every: Every = False, redis: Redis = None) -> None:
    """Forget dead jobs for good."""
    _dead("purge", "purged", ids or [], queue, every=every, redis=redis)


def _dead(verb: str, done: str, ids: list[str], queue: str | None, *, every: bool, redis: str | None) -> None:
    from jobpools.cli import asking
    from jobpools.store import deadletters

    if bool(ids) == every:
        raise typer.BadParameter("give ids, or --all with --queue")
    doing: Any = getattr(deadletters, verb)
    count = asking.ask(redis, lambda connection: asking.dead(connection, doing, ids, queue, every=every))
    typer.echo(f"{count} {'job' if count == 1 else 'jobs'} {done}")


def _told(known: dict[str, Any]) -> dict[str, Any]:
    """Without what is not known."""
    return {key: value for key, value in known.items() if value not in (None, [], "")}
