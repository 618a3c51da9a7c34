"""Search a queue of a million jobs, while another client pings the server."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from redis import Redis

from jobpools import SearchPage
from tests.bench.figures import Row
from tests.bench.jobs import app, arguments, noop
from tests.bench.measure import empty
from tests.support.servers import Server

SEARCHED_JOBS = 1_000_000
PAGES = 20
"""Maximum number of pages of one search."""
MARKED_EVERY = 100_000
FILTERS: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("the first 50 jobs", {}),
    ("a rare text in the arguments", {"text": "@rare.example"}),
    ("an unknown handler and no job", {"name": "unknown", "state": "queued"}),
    ("enqueued in the last minute", {"created_after": 60}),
    ("enqueued an hour ago and no job", {"created_before": "1h"}),
)


async def fill() -> None:
    for first in range(0, SEARCHED_JOBS, 10_000):
        await app.enqueue_many(
            noop.call(n, "customer@rare.example" if n % MARKED_EVERY == MARKED_EVERY - 1 else arguments(n)["to"])
            for n in range(first, first + 10_000)
        )


async def pages(client: Redis, conditions: Mapping[str, Any]) -> tuple[list[float], list[float], SearchPage]:
    """Return the seconds of each page, the ms of its longest command by the server's own clock, and the last page.

    Where the machine is busy, both include times in which other processes ran: the median of the pages is least so.
    """
    took: list[float] = []
    longest: list[float] = []
    cursor = None
    while True:
        client.slowlog_reset()
        begun = time.perf_counter()
        page = await app.jobs.search(cursor=cursor, **conditions)
        took.append(time.perf_counter() - begun)
        commands: list[Any] = [each for each in client.slowlog_get(1000) if b"SLOWLOG" not in each["command"]]
        longest.append(max((each["duration"] for each in commands), default=0) / 1000)
        cursor = page.cursor
        if cursor is None or len(took) == PAGES:
            return took, longest, page


def start_pings(server: Server) -> subprocess.Popen[str]:
    """Start a client that pings until its stdin is closed; return when it has begun."""
    command = [sys.executable, "-m", "tests.bench.pings", str(server.port)]
    pinging = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert pinging.stdout is not None
    pinging.stdout.readline()
    return pinging


async def _measure(server: Server) -> list[Row]:
    async with app:
        await fill()
        rows: list[Row] = []
        with server.client() as client:
            client.config_set("slowlog-log-slower-than", 20)  # µs: no ping takes as long
            client.config_set("slowlog-max-len", 1000)
            await app.jobs.search()  # the first one imports modules and connects
            for what, conditions in FILTERS:
                pinging = start_pings(server)
                took, longest, page = await pages(client, conditions)
                pings = json.loads(pinging.communicate()[0])
                rows += [
                    Row(f"search, page: {what} ({page.examined:,} examined)", "s", took, budget=0.2),
                    Row("search, longest command of a page, by the server", "ms", longest, budget=5),
                    Row("search, p99 of pings meanwhile", "ms", [pings["p99"] * 1000], budget=5),
                ]
        return rows


def measure_searches(server: Server, _jobs: int, _rounds: int) -> list[Row]:
    """Return the rows of the part `search`."""
    empty(server)
    return asyncio.run(_measure(server))
