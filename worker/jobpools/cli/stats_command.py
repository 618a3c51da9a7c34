"""`jobpools stats`: counts and rates of the queues, now or over their history."""

from pathlib import Path
from typing import Annotated

import typer

from jobpools.cli.output import Output, show
from jobpools.cli.parameters import Format, QueueName, Redis, seconds_of
from jobpools.errors import ConfigurationError

COLUMNS = (
    "queue", "enqueued", "completed", "retried", "dead", "dropped", "cancelled", "lost", "failures", "enqueued/s",
    "completed/s", "paused",
)  # fmt: skip
Over = Annotated[str, typer.Option(metavar="DURATION", help="Time between the two readings, as in 5s.")]
Since = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="Show the history of the last 1m to 24h instead, as in 6h."),
]
Step = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="With --since: length of the time that each row summarizes, as in 30m."),
]
Plot = Annotated[
    Path | None, typer.Option(metavar="PNG", help="With --since: write a plot of the history to this file.")
]


def stats(  # noqa: PLR0913  # a command's own options
    over: Over = "1s",
    *,
    since: Since = None,
    step: Step = None,
    plot: Plot = None,
    queue: QueueName = None,
    redis: Redis = None,
    output: Format = Output.TABLE,
) -> None:
    """Show the job counts and rates of each queue.

    Counts start with the first job of the queue. The rates are the differences between two readings of the counts.
    With --since, the counts, rates and latencies of the last hours come from the history that the workers write. QUEUED
    is the highest number of queued jobs, UTILISATION the share of the slots' time in use, WAIT the time from ready to
    claimed, and RUN the duration of attempts.
    """
    if since is not None:
        _print_history(since, step, plot, queue, redis, output)
        return
    for option, given in (("--step", step), ("--plot", plot), ("--queue", queue)):
        if given is not None:
            raise ConfigurationError(f"{option}: it applies to the history; add --since, as in --since 6h")
    from jobpools.cli import queries

    seconds = seconds_of("--over", over)
    rows = queries.run_query(redis, lambda connection: queries.stats(connection, seconds))
    show(rows, COLUMNS, output, "no queue has had a job yet")


def _print_history(
    since: str, step: str | None, plot: Path | None, queue: str | None, redis: str | None, output: Output
) -> None:
    from jobpools.cli import queries, queue_history

    length = queue_history.minutes_of("--since", seconds_of("--since", since))
    width = length if step is None else queue_history.minutes_of("--step", seconds_of("--step", step))
    if plot is not None:
        from jobpools.local import plot_file

        plot_file.check(plot)
    found = queries.run_query(redis, lambda connection: queue_history.read(connection, queue, length))
    queue_history.print_spans(found.spans(width), over_time=step is not None, output=output)
    if plot is not None:
        from jobpools.local import history_plot

        history_plot.draw(found.spans(history_plot.step_of(length)), plot, f"the last {since}")
