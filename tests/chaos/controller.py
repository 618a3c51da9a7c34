"""A rescuer besides the workers, as the operator is: python -m tests.chaos.controller URL FILE

It observes the queue, takes over expired leases, and settles what ended workers still hold. FILE has a line for each
worker that has ended, as Kubernetes reports it. The run kills this process, too: a job that it has taken over and not
settled is then rescued when its own lease expires.
"""

import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from jobpools.control.queues import StoreQueues
from jobpools.core.objects import Meta
from jobpools.core.pools.specs import Pool, PoolSpec
from jobpools.errors import StoreError
from jobpools.store.connection import connect
from tests.chaos.workload import APP, QUEUE, UNLIMITED

INTERVAL = 0.5
"""Seconds between two passes."""
POOL = Pool(
    meta=Meta(name="worker"),
    spec=PoolSpec.model_validate({"app": APP, "queues": [QUEUE], "job": {"maxCrashes": UNLIMITED}}),
)

log = logging.getLogger("controller")


async def run(url: str, ended: Path) -> None:
    """Do one pass after another until the process ends."""
    connection = connect(url)
    queues, released = StoreQueues(connection, "controller"), 0
    while True:
        names = ended.read_text().split() if ended.exists() else []  # noqa: ASYNC240  # a small local file
        try:
            await one_pass(queues, names[released:])
            released = len(names)
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


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    asyncio.run(run(sys.argv[1], Path(sys.argv[2])))
