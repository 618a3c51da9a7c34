"""A producer that is killed and started again: python -m tests.chaos.producer '{"url": …}' (see `Order`)

Ids are known beforehand. The producer appends to a file how many jobs the server has acknowledged, and starts again
from the last line: a batch without an answer, and one that was acknowledged and not noted, is sent once more.
"""

import asyncio
import json
import logging
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from jobpools import Client, JobNotFoundError
from jobpools.errors import QueueFullError, StoreError
from tests.chaos.workload import QUEUE, Plan, app, plan_of

MAX_BATCH = 100
RETRY_INTERVAL = 0.1
"""Seconds before a batch without an answer is sent again."""
REPEATED_SHARE = 0.05
"""Share of the batches that are sent twice although they were acknowledged."""


log = logging.getLogger("producer")


@dataclass(frozen=True, slots=True)
class Order:
    """What to send, and until when."""

    url: str
    sent_file: str
    seed: int
    jobs: int
    cancel_share: float
    begin: float
    """Seconds since the epoch; the jobs are spread over the time from `begin` to `end`."""
    end: float
    deadline: float
    """When the producer gives up, in seconds since the epoch."""

    def as_argument(self) -> str:
        return json.dumps(asdict(self))


def read_sent(path: Path) -> int:
    """Return how many jobs were acknowledged and noted."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    complete = [line for line in lines if line.endswith("\n")]
    return int(complete[-1]) if complete else 0


async def send_all(order: Order) -> None:
    """Send the jobs that are not noted yet. Raises TimeoutError at the deadline."""
    path = Path(order.sent_file)
    draw = random.Random(time.time_ns())  # noqa: S311  # sizes of batches; a producer that starts again cuts others
    sent = read_sent(path)
    log.info("starts from job %d", sent)
    while sent < order.jobs:
        due = order.begin + (order.end - order.begin) * sent / order.jobs
        await asyncio.sleep(max(0.0, due - time.time()))
        batch = [
            plan_of(order.seed, number, order.cancel_share)
            for number in range(sent, min(order.jobs, sent + draw.randint(1, MAX_BATCH)))
        ]
        for _ in range(2 if draw.random() < REPEATED_SHARE else 1):
            await _until_answered(order, lambda batch=batch: _enqueue(batch))  # type: ignore[misc]  # bound now
        for plan in batch:
            if plan.is_cancelled:
                await _until_answered(order, lambda plan=plan: _cancel(plan))  # type: ignore[misc]  # bound now
        sent += len(batch)
        _note_sent(path, sent)


def _note_sent(path: Path, sent: int) -> None:
    with path.open("a") as file:
        file.write(f"{sent}\n")


async def _until_answered(order: Order, send: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            return await send()
        except (StoreError, QueueFullError) as error:
            log.info("not accepted: %s", error)
            if time.time() > order.deadline:
                raise TimeoutError("the server did not answer before the deadline") from None
            await asyncio.sleep(RETRY_INTERVAL)


async def _enqueue(batch: Sequence[Plan]) -> None:
    await app.enqueue_many([plan.call() for plan in batch])


async def _cancel(plan: Plan) -> None:
    try:
        await app.handle(plan.id, QUEUE).cancel()
    except JobNotFoundError:
        raise SystemExit(f"producer: {plan.id} was acknowledged, and the server does not know it") from None


async def main(order: Order) -> None:
    client = Client(order.url)
    app.use(client)
    try:
        await send_all(order)
    finally:
        await client.aclose()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    asyncio.run(main(Order(**json.loads(sys.argv[1]))))
