"""`jobpools stats --since`: the history of the queues as rows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from jobpools.cli.output import Output, format_time, show
from jobpools.core.histogram import Histogram
from jobpools.core.jobs.minutes import KEPT, QUANTILES, Minute, Summary, spans
from jobpools.core.text.durations import format_duration, format_latency, format_rate
from jobpools.errors import ConfigurationError
from jobpools.store.connection import Connection
from jobpools.store.find_job import resolve_queues
from jobpools.store.minutes import read_minutes
from jobpools.store.server import server_time

_LATENCIES = tuple(f"{word}_{name}" for word in ("wait", "run") for name in ("p50", "p95", "p99"))
COLUMNS = ("queue", "completed", "failed", "crashed", "dead", "completed/s", "queued", "utilisation", *_LATENCIES)
COLUMNS_OVER_TIME = ("queue", "from", *COLUMNS[1:])


class QueueHistory(NamedTuple):
    """The recorded minutes of some queues."""

    start: int
    """The first minute, in minutes since the epoch."""
    now: float
    """The server's time, seconds since the epoch."""
    queues: Mapping[str, Sequence[Minute]]

    def spans(self, step: int) -> dict[str, list[Summary]]:
        """Return summaries of `step` minutes of each queue."""
        return {queue: spans(minutes, self.start, self.now, step) for queue, minutes in self.queues.items()}


def minutes_of(option: str, seconds: float) -> int:
    """Return a duration in minutes. Raises ConfigurationError, which names the option."""
    minutes, rest = divmod(seconds, 60)
    if rest or not 1 <= minutes <= KEPT:
        raise ConfigurationError(
            f"{option}: {format_duration(seconds)}: the history has full minutes of the last 24 hours; use 1m to 24h"
        )
    return int(minutes)


async def read(connection: Connection, queue: str | None, length: int) -> QueueHistory:
    """Return the last `length` minutes of one queue, or of all that have had a job.

    Raises:
        JobNotFoundError: The queue has never had a job.
        StoreError: Redis cannot be read.
    """
    now = await server_time(connection)
    last = int(now) // 60
    start = last - length + 1
    names = await resolve_queues(connection, queue)
    return QueueHistory(start, now, {name: await read_minutes(connection, name, start, last) for name in names})


def print_spans(found: Mapping[str, Sequence[Summary]], *, over_time: bool, output: Output) -> None:
    """Print a row for each span of each queue."""
    pairs = [(queue, span) for queue, each in found.items() for span in each]
    rows = [_cells(queue, span) if output is Output.TABLE else _row(queue, span) for queue, span in pairs]
    columns = COLUMNS_OVER_TIME if over_time else COLUMNS
    show(rows, columns, output, "no queue has had a job yet")


def _row(queue: str, span: Summary) -> dict[str, Any]:
    return {
        "queue": queue,
        "from": format_time(span.start),
        "seconds": span.seconds,
        "recorded_minutes": span.recorded,
        **asdict(span.counts),
        "failures": span.failure_rate,
        "completed/s": span.rate,
        "utilisation": span.utilisation,
        "highest": None if span.states is None else asdict(span.states),
        "waiting_ms": _quantiles(span.waiting),
        "running_ms": _quantiles(span.running),
    }


def _quantiles(histogram: Histogram) -> dict[str, Any]:
    return {
        **{name: None if ms is None else float(f"{ms:.3g}") for name, ms in _ms(histogram).items()},
        "count": histogram.count,
        "error": round(histogram.error, 2),
    }


def _ms(histogram: Histogram) -> dict[str, float | None]:
    """Return the quantiles by name, in milliseconds."""
    found = {f"p{share * 100:.0f}": histogram.quantile(share) for share in QUANTILES}
    return {name: None if value is None else value * 1000 for name, value in found.items()}


def _cells(queue: str, span: Summary) -> dict[str, Any]:
    """Return a row of the table."""
    latencies = [histogram.quantile(share) for histogram in (span.waiting, span.running) for share in QUANTILES]
    return {
        **_row(queue, span),
        "completed/s": format_rate(span.rate),
        "queued": None if span.states is None else span.states.queued,
        "utilisation": None if span.utilisation is None else f"{span.utilisation:.0%}",
        **dict(zip(_LATENCIES, map(format_latency, latencies), strict=True)),
    }
