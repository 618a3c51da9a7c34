"""`jobpools pools`, `workers`, `stats` and `plan`: what Redis holds, and how many workers it calls for."""

from typing import Annotated

import typer

from jobpools.cli.output import Output, show
from jobpools.cli.parameters import Format, Namespace, Paths, Redis, seconds_of

POOL_COLUMNS = ("pool", "workers", "slots", "busy", "draining", "completed", "failed")
WORKER_COLUMNS = (
    "worker", "pool", "slots", "busy", "completed", "failed", "left_behind", "draining", "memory", "age", "seen",
)  # fmt: skip
STAT_COLUMNS = (
    "queue", "enqueued", "completed", "retried", "dead", "dropped", "cancelled", "lost", "failures", "enqueued/s",
    "completed/s",
)  # fmt: skip
PLAN_COLUMNS = ("pool", "workers", "desired", "queued", "running", "oldest", "reason", "message")


def pools(redis: Redis = None, output: Format = Output.TABLE) -> None:
    """List pools: their workers, slots and busy slots."""
    from jobpools.cli import queries

    show(queries.run_query(redis, queries.pools), POOL_COLUMNS, output, "no pool has a worker")


def workers(redis: Redis = None, output: Format = Output.TABLE) -> None:
    """List the workers that reported in the last 30 seconds."""
    from jobpools.cli import queries

    empty = "no worker has reported in the last 30 seconds"
    show(queries.run_query(redis, queries.workers), WORKER_COLUMNS, output, empty)


def stats(
    over: Annotated[str, typer.Option(metavar="DURATION", help="Time between the two readings, as in 5s.")] = "1s",
    redis: Redis = None,
    output: Format = Output.TABLE,
) -> None:
    """Show the job counts and rates of each queue.

    Counts start with the first job of the queue. The rates are the differences between two readings of the counts.
    """
    from jobpools.cli import queries

    seconds = seconds_of("--over", over)
    rows = queries.run_query(redis, lambda connection: queries.stats(connection, seconds))
    show(rows, STAT_COLUMNS, output, "no queue has had a job yet")


def plan(paths: Paths, namespace: Namespace = "default", redis: Redis = None, output: Format = Output.TABLE) -> None:
    """Show how many workers the pools in YAML files need now, and why.

    Nothing is changed. The current workers are those that report to Redis. The stabilization windows of
    scaling.behavior do not apply, because the command knows no earlier decisions.
    """
    from jobpools.cli import plan_preview, queries
    from jobpools.local import spec_files

    found = spec_files.load(paths, namespace)
    rows = queries.run_query(redis, lambda connection: plan_preview.rows(connection, found.pools))
    show(rows, PLAN_COLUMNS, output, "these files contain no WorkerPool")
