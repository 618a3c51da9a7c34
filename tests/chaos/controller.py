"""A rescuer besides the workers, as the operator is: python -m tests.chaos.controller URL FILE UNTIL

It observes the queue, takes over expired leases, and settles what ended workers still hold. FILE has a line for each
worker that has ended, as Kubernetes reports it. Until UNTIL (seconds since the epoch) it replays dead jobs of the
handler `fragile`: a job is then called dead, replayed, and taken back by its stopped worker at nearly the same time.

The run kills this process, too: a job that it has taken over and not settled is then rescued when its own lease
expires.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from jobpools.control.queues import StoreQueues
from jobpools.core.objects import Meta
from jobpools.core.pools.specs import Pool, PoolSpec
from jobpools.errors import StoreError
from jobpools.store import deadletters
from jobpools.store.connection import Connection, connect
from tests.chaos.workload import APP, QUEUE, REPLAYED, UNLIMITED

INTERVAL = 0.5
"""Seconds between two passes."""
POOL = Pool(
    meta=Meta(name="worker"),
    spec=PoolSpec.model_validate({"app": APP, "queues": [QUEUE], "job": {"maxCrashes": UNLIMITED}}),
)

log = logging.getLogger("controller")


async def run(url: str, ended: Path, until: float) -> None:
    """Do one pass after another until the process ends; replay dead jobs until `until`."""
    connection = connect(url)
    queues, released = StoreQueues(connection, "controller"), 0
    while True:
        names = ended.read_text().split() if ended.exists() else []  # noqa: ASYNC240  # a small local file
        try:
            await one_pass(queues, names[released:])
            released = len(names)
            if time.time() < until:
                await replay(connection)
        except StoreError as error:
            log.info("no pass: %s", error)
        await asyncio.sleep(INTERVAL)


async def one_pass(queues: StoreQueues, ended: Sequence[str]) -> None:
    """Do what a pass of the operator does to a queue. Raises StoreError."""
    await queues.observe([POOL])
    if ended and (moved := await queues.release(POOL, ended)):
        log.info("%s ended: %d jobs moved", ", ".join(ended), moved)
    if moved := await queues.maintain(POOL):
        log.info("%d jobs moved", moved)


async def replay(connection: Connection) -> None:
    """Replay the dead jobs of the handler `fragile`. Raises StoreError."""
    found = [letter for letter in await deadletters.snapshot(connection, QUEUE) if letter.id.startswith(REPLAYED)]
    async for page in deadletters.replay(connection, QUEUE, found):
        log.info("%d of %d dead jobs replayed", page.changed, page.handled)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    asyncio.run(run(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])))
