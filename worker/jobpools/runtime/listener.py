"""How an idle worker learns that a queue has work: one blocking wait on the wake-ups of all its queues."""

import asyncio
import contextlib
from collections.abc import Sequence

from jobpools.errors import StoreError, StoreUnavailableError
from jobpools.runtime.consumer import Consumer
from jobpools.runtime.outage import BACKOFF, Outage, Tries, concerns_server
from jobpools.runtime.slots import Slots
from jobpools.store import draws, wakeups
from jobpools.store.connection import Connection
from jobpools.store.server import check_types, probe

WAIT = 5.0
"""Seconds that one blocking wait for a wake-up lasts: also how long a lost wake-up can go unnoticed."""
SHORT_WAIT = 0.01
"""Seconds of the wait that finds out whether waiting works again."""


class Listener:
    """Waits for wake-ups while the dispatcher rests and slots are free."""

    def __init__(
        self, connection: Connection, consumers: Sequence[Consumer], slots: Slots, outage: Outage, wakeup: asyncio.Event
    ) -> None:
        """`connection` may block for WAIT seconds; `wakeup` wakes the dispatcher."""
        self._connection = connection
        self._consumers = list(consumers)
        self._slots = slots
        self._outage = outage
        self._wakeup = wakeup
        self._wants_jobs = asyncio.Event()
        self.name = f"wake-ups of {', '.join(each.queue for each in consumers)}"

    def rest(self, *, wants_jobs: bool) -> None:
        """Wait for wake-ups from now on if there is room for a job: the dispatcher is idle."""
        if wants_jobs:
            self._wants_jobs.set()
        else:
            self._wants_jobs.clear()

    async def run(self) -> None:
        """Wait again and again."""
        while True:
            await self._wants_jobs.wait()
            try:
                woken = await self._wait()
            except StoreError as error:
                woken = self._consumers
                if concerns_server(error):
                    await self._until_back(error)
                else:
                    await self._find_failing()
            for consumer in woken:
                consumer.may_have_jobs = True
            self._wants_jobs.clear()
            self._wakeup.set()

    async def _wait(self) -> Sequence[Consumer]:
        """Return the queues to ask: the one that was woken, or all if none was: a wake-up may have been lost."""
        asked = [each for each in self._consumers if not (each.is_draining or each.errors.is_failing)]
        if not asked:
            await asyncio.sleep(WAIT)
            return self._consumers
        queue = await wakeups.wait(self._connection, [each.queue for each in asked], WAIT)
        if queue is None:
            return self._consumers
        if not self._slots.room():
            # Another queue filled the slots meanwhile: the token is for a worker that has room. If a full server
            # refuses it, the next step of any worker on this queue makes up for it.
            with contextlib.suppress(StoreUnavailableError):
                await wakeups.pass_on(self._connection, queue)
        woken = next(each for each in asked if each.queue == queue)
        # BLPOP prefers the first key, so the queue just served moves to the end.
        self._consumers.remove(woken)
        self._consumers.append(woken)
        return [woken]

    async def _until_back(self, error: StoreError) -> None:
        """Wait until the server accepts this wait and a write again, even if no job is wanted meanwhile."""
        tries, queues = Tries(), [each.queue for each in self._consumers]
        while concerns_server(error):
            self._outage.failed(error, self.name)
            await asyncio.sleep(tries.failed(draws.fraction()))
            try:
                for queue in queues:
                    await probe(self._connection, queue)
                # A token that this takes is not lost: after an outage all queues are asked.
                await wakeups.wait(self._connection, queues, SHORT_WAIT)
            except StoreError as again:
                error = again
            else:
                break
        self._outage.recovered(self.name)

    async def _find_failing(self) -> None:
        """Find the queue whose key of another type fails the wait for all; it is left out until a step succeeds."""
        await asyncio.sleep(BACKOFF.initial)
        for consumer in self._consumers:
            try:
                await check_types(self._connection, consumer.queue)
            except StoreError as error:
                if not concerns_server(error):
                    consumer.errors.fail(error)


def listeners(
    connection: Connection, consumers: Sequence[Consumer], slots: Slots, outage: Outage, wakeup: asyncio.Event
) -> list[Listener]:
    """Return one listener for all queues. In a Redis Cluster a command reaches one slot only: one for each queue."""
    groups = [[each] for each in consumers] if connection.cluster else [consumers]
    return [Listener(connection, group, slots, outage, wakeup) for group in groups]
