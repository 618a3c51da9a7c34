"""Listings of what is in Redis, and the few things that people do to it by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from jobpools.cli import shell
from jobpools.cli.output import Output, document, show
from jobpools.core.jobs.job import JobState

Paths = Annotated[
    list[Path], typer.Argument(metavar="FILES...", help="YAML files, or folders of them.", show_default=False)
]
Namespace = Annotated[str, typer.Option(help="The namespace of objects that name none.")]
Redis = Annotated[str | None, typer.Option("--redis", envvar="JOBPOOLS_REDIS_URL", help="URL of Redis or Valkey.")]
Form = Annotated[Output, typer.Option("--output", "-o", help="table, json or yaml.")]
QueueName = Annotated[str | None, typer.Option("--queue", "-q", help="Only this queue.")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id.", show_default=False)]
JobIds = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of jobs.", show_default=False)]
Every = Annotated[bool, typer.Option("--all", help="All dead jobs of --queue.")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many.")]
Most = Annotated[
    int | None, typer.Option("--limit", min=1, help="With --all: maximum number of jobs, the earliest first.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="With --all: do not ask for confirmation.")]

POOL_COLUMNS = ("pool", "workers", "slots", "busy", "draining", "completed", "failed")
QUEUE_COLUMNS = ("queue", "queued", "scheduled", "running", "dead", "oldest", "completed", "failed")
WORKER_COLUMNS = (
    "worker",
    "pool",
    "slots",
    "busy",
    "completed",
    "failed",
    "left_behind",
    "draining",
    "memory",
    "age",
    "seen",
)
STAT_COLUMNS = (
    "queue", "enqueued", "completed", "retried", "dead", "dropped", "cancelled", "lost", "failures", "enqueued/s",
    "completed/s",
)  # fmt: skip
PLAN_COLUMNS = ("pool", "workers", "desired", "queued", "running", "oldest", "reason", "message")
JOB_COLUMNS = ("id", "queue", "state", "name", "attempts", "age", "due", "note")
DEAD_COLUMNS = ("id", "queue", "name", "attempts", "age", "note")

jobs = shell.group(
    "Jobs: list them, show one, cancel one.", "jobs --queue emails --state running", "jobs show 0197…", "jobs -o json"
)
dead = shell.group(
    "The dead-letter queue: list, replay, purge.", "dead", "dead replay 0197…", "dead purge --queue emails --all"
)


def pools(redis: Redis = None, output: Form = Output.TABLE) -> None:
    """Pools: how many workers and slots there are, how many are busy."""
    from jobpools.cli import queries

    show(queries.ask(redis, queries.pools), POOL_COLUMNS, output, "no pool has a worker")


def queues(redis: Redis = None, output: Form = Output.TABLE) -> None:
    """Queues: how much waits, runs, died."""
    from jobpools.cli import queries

    show(queries.ask(redis, queries.queues), QUEUE_COLUMNS, output, "no queue has had a job yet")


def workers(redis: Redis = None, output: Form = Output.TABLE) -> None:
    """Workers that reported in the last 30 s."""
    from jobpools.cli import queries

    show(queries.ask(redis, queries.workers), WORKER_COLUMNS, output, "no worker has reported lately")


def stats(
    over: Annotated[str, typer.Option(help="How long to look at the rates, as in 5s.")] = "1s",
    redis: Redis = None,
    output: Form = Output.TABLE,
) -> None:
    """Queues: their books since the first job, and their rates.

    The rates are the difference of two looks, `--over` apart.
    """
    from jobpools.cli import queries

    span = queries.span("--over", over)
    rows = queries.ask(redis, lambda connection: queries.stats(connection, span))
    show(rows, STAT_COLUMNS, output, "no queue has had a job yet")


def plan(paths: Paths, namespace: Namespace = "default", redis: Redis = None, output: Form = Output.TABLE) -> None:
    """What the control loop would ask for now, and why.

    Nothing is changed. Workers are those that report to Redis; the windows of scaling.behavior count as over, for
    one look knows no past.
    """
    from jobpools.cli import plan_preview, queries
    from jobpools.local import spec_files

    found = spec_files.load(paths, namespace)
    rows = queries.ask(redis, lambda connection: plan_preview.rows(connection, found.pools))
    show(rows, PLAN_COLUMNS, output, "there is no WorkerPool in these files")


@jobs.command("list", epilog=shell.examples("jobs", "jobs list --queue emails --state dead", "jobs -o yaml --limit 5"))
def jobs_list(
    queue: QueueName = None,
    state: Annotated[JobState | None, typer.Option("--state", "-s", help="Only jobs in this state.")] = None,
    limit: Limit = 50,
    redis: Redis = None,
    output: Form = Output.TABLE,
) -> None:
    """Jobs, in the order in which something happens to them next; ended ones newest first."""
    from jobpools.cli import queries

    rows = queries.ask(redis, lambda connection: queries.jobs(connection, queue, state, limit))
    show(rows, JOB_COLUMNS, output, "no such job")


@jobs.command("show", epilog=shell.examples("jobs show 0197…", "jobs show 0197… --output json"))
def jobs_show(id: JobId, queue: QueueName = None, redis: Redis = None, output: Form = Output.YAML) -> None:  # noqa: A002  # the job's own word
    """One job with its arguments, its result and what it went through."""
    from jobpools.cli import queries

    view = queries.ask(redis, lambda connection: queries.find(connection, id, queue))
    document(_told(queries.details(view)), Output.YAML if output is Output.TABLE else output)


@jobs.command(
    "cancel", epilog=shell.examples("jobs cancel 0197…", "jobs cancel --queue emails --all --state scheduled")
)
def jobs_cancel(  # noqa: PLR0913  # a command's own flags
    ids: JobIds = None,
    *,
    queue: QueueName = None,
    every: Annotated[bool, typer.Option("--all", help="All jobs of --queue that have not ended.")] = False,
    state: Annotated[
        JobState | None, typer.Option("--state", "-s", help="With --all: only queued, scheduled or running jobs.")
    ] = None,
    limit: Most = None,
    yes: Yes = False,
    redis: Redis = None,
    output: Form = Output.TABLE,
) -> None:
    """Take jobs out of their queue, or have their workers stop them."""
    from jobpools.cli import bulk, queries
    from jobpools.errors import ConfigurationError
    from jobpools.store.cancellations import CANCELLABLE

    if bool(ids) == every:
        raise ConfigurationError("which jobs? Write jobpools jobs cancel ID…, or --queue NAME --all")
    if state is not None and state not in CANCELLABLE:
        raise ConfigurationError(
            f"--state: a {state} job has ended and cannot be cancelled; use queued, scheduled or running"
        )
    if len(ids or []) != 1 or output is not Output.TABLE:
        bulk.run("cancel", bulk.Choice(ids or [], queue, every, limit, state), redis, output, confirmed=yes)
        return
    (id,) = ids or []  # noqa: A001  # the job's own word
    where, found = queries.ask(redis, lambda connection: queries.cancel(connection, id, queue))
    said = "its worker is told to stop it" if found is JobState.RUNNING else f"it is {found}"
    shell.put(f"job {id} of queue {where}: {said}\n")


@dead.command("list", epilog=shell.examples("dead list", "dead list --queue emails --output json"))
def dead_list(queue: QueueName = None, limit: Limit = 50, redis: Redis = None, output: Form = Output.TABLE) -> None:
    """Dead jobs, the latest first, and why they died."""
    from jobpools.cli import queries

    rows = queries.ask(redis, lambda connection: queries.jobs(connection, queue, JobState.DEAD, limit))
    show(rows, DEAD_COLUMNS, output, "no job is dead")


@dead.command("replay", epilog=shell.examples("dead replay 0197… 0198…", "dead replay --queue emails --all"))
def dead_replay(
    ids: JobIds = None,
    *,
    queue: QueueName = None,
    every: Every = False,
    limit: Most = None,
    redis: Redis = None,
    output: Form = Output.TABLE,
) -> None:
    """Put dead jobs back into their queue, with their attempt count reset.

    --all selects the jobs that are dead when the command begins, each once: jobs that die again meanwhile stay dead.
    """
    _dead("replay", (ids or [], queue, every, limit), redis, output, yes=True)


@dead.command("purge", epilog=shell.examples("dead purge 0197…", "dead purge --queue emails --all"))
def dead_purge(  # noqa: PLR0913  # a command's own flags
    ids: JobIds = None,
    *,
    queue: QueueName = None,
    every: Every = False,
    limit: Most = None,
    yes: Yes = False,
    redis: Redis = None,
    output: Form = Output.TABLE,
) -> None:
    """Delete dead jobs for good. --all selects the jobs that are dead when the command begins."""
    _dead("purge", (ids or [], queue, every, limit), redis, output, yes=yes)


def _dead(
    verb: Literal["replay", "purge"],
    chosen: tuple[Sequence[str], str | None, bool, int | None],
    redis: str | None,
    output: Output,
    *,
    yes: bool,
) -> None:
    from jobpools.cli import bulk
    from jobpools.errors import ConfigurationError

    choice = bulk.Choice(*chosen)
    if bool(choice.ids) == choice.every:
        raise ConfigurationError(f"which dead jobs? Write jobpools dead {verb} ID…, or --queue NAME --all")
    bulk.run(verb, choice, redis, output, confirmed=yes)


def _told(known: dict[str, Any]) -> dict[str, Any]:
    """Without what is not known."""
    return {key: value for key, value in known.items() if value not in (None, [], "")}
