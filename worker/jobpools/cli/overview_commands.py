"""`jobpools pools` and `jobpools plan`: the pools that report to Redis, and how many workers pools need."""

from jobpools.cli.output import Output, show
from jobpools.cli.parameters import Format, Namespace, Paths, Redis

POOL_COLUMNS = ("pool", "workers", "slots", "busy", "draining", "paused", "completed", "failed")
PLAN_COLUMNS = ("pool", "workers", "desired", "queued", "running", "oldest", "reason", "message")


def pools(redis: Redis = None, output: Format = Output.TABLE) -> None:
    """List pools: workers, slots, busy slots and paused workers."""
    from jobpools.cli import queries

    show(queries.run_query(redis, queries.pools), POOL_COLUMNS, output, "no pool has a worker")


def plan(paths: Paths, namespace: Namespace = "default", redis: Redis = None, output: Format = Output.TABLE) -> None:
    """Show how many workers the pools in YAML files need now.

    MESSAGE says why. Nothing is changed. The current workers are those that report to Redis. The stabilization windows
    of scaling.behavior do not apply, because the command knows no earlier decisions.
    """
    from jobpools.cli import plan_preview, queries
    from jobpools.local import spec_files

    found = spec_files.load(paths, namespace)
    rows = queries.run_query(redis, lambda connection: plan_preview.rows(connection, found.pools))
    show(rows, PLAN_COLUMNS, output, "these files contain no WorkerPool")
