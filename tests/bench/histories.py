"""Write and read the history of one busy queue over a day, as workers and `jobpools stats --since 24h` do."""

import asyncio
import random
import time
from collections import Counter
from contextlib import aclosing
from typing import Any

from jobpools.cli import queue_history
from jobpools.core.histogram import BOUNDS
from jobpools.core.jobs.minutes import KEPT
from jobpools.store import keys
from jobpools.store.connection import Connection, connect
from jobpools.store.minutes import PART, add_measurements
from tests.bench.figures import Row
from tests.bench.jobs import QUEUE
from tests.bench.measure import empty
from tests.support.servers import Server

ROW_MINUTES = 30
"""Minutes that one row of the table sums up."""


def durations(draw: random.Random, median: float) -> Counter[int]:
    """Return the buckets of 2,000 log-normal durations."""
    values = (draw.lognormvariate(0, 1.0) * median for _ in range(2000))
    return Counter(next((i for i, bound in enumerate(BOUNDS) if bound >= value), len(BOUNDS)) for value in values)


async def _fill(connection: Connection) -> None:
    draw = random.Random(7)  # noqa: S311  # numbers of a benchmark
    measured = [(durations(draw, 0.05), durations(draw, 0.3)) for _ in range(10)]
    now = int(time.time()) * 1000
    for minute in range(KEPT):
        waiting, running = measured[minute % len(measured)]
        at = now - (KEPT - 1 - minute) * 60_000
        await add_measurements(connection, QUEUE, busy=281.3, slots=600, waiting=waiting, running=running, now=at)


async def _measure(server: Server, rounds: int) -> list[Row]:
    async with aclosing(connect(server.url)) as connection:
        await connection.execute("HSET", keys.of_queue(QUEUE, "totals"), "enqueued", 1)
        with server.client() as client:
            client.config_resetstat()
            await _fill(connection)
            stats: Any = client.info("commandstats")
            memory: Any = client.memory_usage(keys.of_queue(QUEUE, PART), samples=0)
        took: list[float] = []
        for _ in range(rounds):
            begun = time.perf_counter()
            found = await queue_history.read(connection, QUEUE, KEPT)
            (rows,) = found.spans(ROW_MINUTES).values()
            took.append(time.perf_counter() - begun)
            assert len(rows) == KEPT // ROW_MINUTES
    return [
        Row("history, a day of one queue: read and summed up", "s", took, budget=0.1),
        Row("history, memory of a day of one queue", "B", [memory], budget=300_000),
        Row(
            "history, one report of a worker, by the server",
            "µs",
            [stats["cmdstat_evalsha"]["usec_per_call"]],
            budget=1000,
        ),
    ]


def measure_history(server: Server, _jobs: int, rounds: int) -> list[Row]:
    """Return the rows of the part `history`."""
    empty(server)
    return asyncio.run(_measure(server, rounds))
