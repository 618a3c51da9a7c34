"""`jobpools workers`: list workers, show one, pause, resume and stop them."""

from collections.abc import Sequence
from typing import Annotated

import typer

from jobpools.cli.command_group import Command, examples, list_group
from jobpools.cli.output import Output, document, report, show
from jobpools.cli.parameters import Format, Redis
from jobpools.core.pools.worker_states import CommandKind
from jobpools.core.text.plurals import count_of

COLUMNS = (
    "worker", "pool", "state", "slots", "busy", "longest", "completed", "failed", "completed/min", "failed/min",
    "left_behind", "draining", "memory", "age", "seen", "why",
)  # fmt: skip

RELOAD_COLUMNS = ("worker", "changed", "needs_restart", "problem")

workers = list_group(
    "List, show, pause, resume, reload and stop workers.", "workers", "workers --pool default/emails",
    "workers pause web-1 --reason 'looking at its memory'", "workers stop --pool default/emails",
)  # fmt: skip

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name or id of the worker.", show_default=False)]
Names = Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Names or ids of workers.", show_default=False)]
PoolKey = Annotated[
    str | None,
    typer.Option("--pool", metavar="NAMESPACE/NAME", help="Only workers of this pool.", show_default=False),
]
AllOfPool = Annotated[
    str | None,
    typer.Option(
        "--pool",
        metavar="NAMESPACE/NAME",
        help="Only workers of this pool; without NAME, all of them.",
        show_default=False,
    ),
]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; shown with the worker.")]
By = Annotated[str, typer.Option(metavar="NAME", help="Who gives the command. Default: user@host.", show_default=False)]


@workers.command("list", cls=Command, epilog=examples("workers", "workers --output yaml"))
def list_workers(pool: PoolKey = None, redis: Redis = None, output: Format = Output.TABLE) -> None:
    """List the workers that reported in the last 30 seconds."""
    from jobpools.cli import queries, worker_queries

    rows = queries.run_query(redis, lambda connection: worker_queries.rows(connection, pool))
    of_pool = "" if pool is None else f" of pool {pool}"
    show(rows, COLUMNS, output, f"no worker{of_pool} has reported in the last 30 seconds")


@workers.command("show", cls=Command, epilog=examples("workers show web-1", "workers show web-1 --output json"))
def show_worker(name: Name, pool: PoolKey = None, redis: Redis = None, output: Format = Output.YAML) -> None:
    """Show one worker: state, counts, rates and running jobs.

    It also says who paused or stopped the worker, and why.
    """
    from jobpools.cli import queries, worker_queries

    for found in queries.run_query(redis, lambda connection: worker_queries.details(connection, name, pool)):
        document(found, Output.YAML if output is Output.TABLE else output)


@workers.command(
    "pause", cls=Command,
    epilog=examples("workers pause web-1 --reason 'looking at its memory'", "workers pause --pool default/emails"),
)  # fmt: skip
def pause_workers(  # a command's own options
    names: Names = None,
    *,
    pool: AllOfPool = None,
    reason: Reason = "",
    by: By = "",
    redis: Redis = None,
    output: Format = Output.TABLE,
) -> None:
    """Pause workers: they claim no jobs until they are resumed. Running jobs continue.

    Only these processes are paused: a worker that starts later claims jobs. To pause a queue for all workers, use
    `jobpools queues pause`.
    """
    _print_result(CommandKind.PAUSE, _give(CommandKind.PAUSE, (names or (), pool), redis, (by, reason)), output)


@workers.command("resume", cls=Command, epilog=examples("workers resume web-1", "workers resume --pool default/emails"))
def resume_workers(
    names: Names = None, pool: AllOfPool = None, redis: Redis = None, output: Format = Output.TABLE
) -> None:
    """Resume paused workers: they claim jobs again. A worker that is stopping cannot be resumed."""
    from jobpools.cli import queries, worker_queries

    chosen = worker_queries.Selection(names or (), pool)
    resumed = queries.run_query(redis, lambda connection: worker_queries.resume(connection, chosen))
    _print_result("resume", resumed, output)


@workers.command(
    "reload", cls=Command,
    epilog=examples("workers reload web-1", "workers reload --pool default/emails --output json"),
)  # fmt: skip
def reload_workers(
    names: Names = None, pool: AllOfPool = None, by: By = "", redis: Redis = None, output: Format = Output.TABLE
) -> None:
    """Have workers read their settings again.

    The command shows what has changed, and what only a restart changes. A worker reads its settings file and the
    settings of its pool; its options and its environment stay as they are. The exit code is 1 if a worker refuses its
    settings or does not answer.
    """
    from jobpools.cli import queries, worker_queries

    selection = worker_queries.Selection(names or (), pool)
    rows = queries.run_query(redis, lambda connection: worker_queries.reload(connection, selection, by))
    if output is Output.TABLE:
        texts = ("changed", "needs_restart")
        rows = [{**row, **{key: "; ".join(row[key]) for key in texts}} for row in rows]
    show(rows, RELOAD_COLUMNS, output, "no worker was told to reload")
    if any(row["problem"] for row in rows):
        raise typer.Exit(1)


@workers.command("stop", cls=Command, epilog=examples("workers stop web-1", "workers stop --pool default/emails"))
def stop_workers(  # a command's own options
    names: Names = None,
    *,
    pool: AllOfPool = None,
    reason: Reason = "",
    by: By = "",
    redis: Redis = None,
    output: Format = Output.TABLE,
) -> None:
    """Stop workers as SIGTERM does.

    Running jobs get the grace to finish, and the exit code of the worker is 0. Kubernetes and `jobpools up` start
    another worker in place of one that ends. So this command restarts the workers of a pool.
    """
    _print_result(CommandKind.STOP, _give(CommandKind.STOP, (names or (), pool), redis, (by, reason)), output)


def _give(
    kind: CommandKind, chosen: tuple[Sequence[str], str | None], redis: str | None, origin: tuple[str, str]
) -> list[str]:
    """Give workers a command, and return their names."""
    from jobpools.cli import queries, worker_queries

    selection, (by, reason) = worker_queries.Selection(*chosen), origin
    return queries.run_query(
        redis, lambda connection: worker_queries.give(connection, selection, kind, by=by, reason=reason)
    )


def _print_result(verb: str, names: Sequence[str], output: Output) -> None:
    listed = f" ({', '.join(names)})" if names else ""
    text = f"{count_of(len(names), 'worker', 'workers')} told to {verb}{listed}; it takes effect within 3s"
    report(text, {"command": str(verb), "workers": list(names)}, output)
