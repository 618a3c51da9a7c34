"""A drain of 300,000 jobs whose results expire after a second: the memory of Redis does not grow."""

import asyncio
import time
from pathlib import Path

from jobpools.client import Client
from jobpools.store import keys, ledger
from jobpools.store.connection import connect
from tests.bench.jobs import QUEUE, app, arguments, noop
from tests.support.servers import running, valkey_binary
from tests.support.workers import running_workers

JOBS, CHUNK = 300_000, 20_000


async def drained(url: str, most: int) -> ledger.Ledger:
    """Return the totals of the queue as soon as at most so many jobs wait."""
    connection = connect(url)
    try:
        while True:
            totals = (await ledger.read(connection, [QUEUE]))[QUEUE]
            if totals.unfinished <= most:
                return totals
            await asyncio.sleep(0.02)
    finally:
        await connection.aclose()


async def test_memory_is_flat_while_results_expire(tmp_path: Path) -> None:
    with running(valkey_binary()) as server, server.client() as raw:
        app.use(Client(server.url))
        raw.hset(keys.of_queue(QUEUE, "policy"), "max_depth", 0)
        sizes, kept, rates = [], [], []
        with running_workers(
            tmp_path, server.url, "tests.bench.jobs:app", "bench", JOB='{"resultTTL":"1s"}', CONCURRENCY="100"
        ):
            for start in range(0, JOBS, CHUNK):
                begun = time.monotonic()
                await app.enqueue_many([noop.call(**arguments(start + n)) for n in range(CHUNK)])
                totals = await drained(server.url, 0)
                rates.append(CHUNK / (time.monotonic() - begun))
                sizes.append(raw.info("memory")["used_memory_dataset"])
                kept.append(raw.hlen(keys.of_queue(QUEUE, "results")))
        await app.client.aclose()
    assert (totals.completed, totals.lost) == (JOBS, 0)
    # In steady state Redis holds the records of the last second, and at most as many expired ones.
    assert max(kept) <= 2 * max(*rates, CHUNK) + 1000, kept
    assert max(sizes[5:]) <= max(sizes[:5]) * 1.3, sizes
