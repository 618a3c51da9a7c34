"""Wait for wake-ups of all queues of an idle worker with one blocking command."""

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

WAIT = 8.0
"""Maximum seconds of one blocking wait, and for which a lost wake-up can stay unnoticed."""
SHORT_WAIT = 0.01
"""Seconds of the wait that checks whether Redis accepts blocking waits again."""


class Listener:
    """Waits for wake-ups while the dispatcher is idle and slots are free."""

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

    def on_idle(self, *, wants_jobs: bool) -> None:
        """Note that the dispatcher is idle: wait for wake-ups from now on if a slot is free (`wants_jobs`)."""
        if wants_jobs:
            self._wants_jobs.set()
        else:
            self._wants_jobs.clear()

    def add(self, consumer: Consumer) -> None:
        """Wait for wake-ups of another queue too, beginning with the next wait."""
        self._consumers.append(consumer)

    async def run(self) -> None:
        """Wait for wake-ups until the task is cancelled."""
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
        """Return the queue that was woken; all queues if none was, because a wake-up may have been lost."""
        asked = [
            each for each in self._consumers if not (each.is_draining or each.is_leaving or each.errors.is_failing)
        ]
        if not asked:
            await asyncio.sleep(WAIT)
            return self._consumers
        queue = await wakeups.wait(self._connection, [each.queue for each in asked], WAIT)
        if queue is None:
            return self._consumers
        if not self._slots.room():
            # Another queue filled the slots meanwhile: pass the token on to a worker that has room. If a server without
            # memory refuses it, the next step of any worker on this queue writes another token.
            with contextlib.suppress(StoreUnavailableError):
                await wakeups.pass_on(self._connection, queue)
        woken = next(each for each in asked if each.queue == queue)
        # BLPOP prefers the first key, so the queue just served moves to the end.
        self._consumers.remove(woken)
        self._consumers.append(woken)
        return [woken]

    async def _until_back(self, error: StoreError) -> None:
        """Wait until the server accepts a blocking wait and a write again, even if no slot is free meanwhile."""
        tries, queues = Tries(), [each.queue for each in self._consumers]
        while concerns_server(error):
            self._outage.failed(error, self.name)
            await asyncio.sleep(tries.failed(draws.fraction()))
            try:
                for queue in queues:
                    await probe(self._connection, queue)
                # This wait may take a token, which does no harm: after an outage all queues are asked.
                await wakeups.wait(self._connection, queues, SHORT_WAIT)
            except StoreError as next_error:
                error = next_error
            else:
                break
        self._outage.recovered(self.name)

    async def _find_failing(self) -> None:
        """Find the queue whose key has the wrong type and fails the wait; it is left out until a step succeeds."""
        await asyncio.sleep(BACKOFF.initial)
        for consumer in self._consumers:
            try:
                await check_types(self._connection, consumer.queue)
            except StoreError as error:
                if not concerns_server(error):
                    consumer.errors.step_failed(error)


def listeners(
    connection: Connection, consumers: Sequence[Consumer], slots: Slots, outage: Outage, wakeup: asyncio.Event
) -> list[Listener]:
    """Return one listener for all queues; in a Redis Cluster one per queue, because a command reaches one hash slot."""
    groups = [[each] for each in consumers] if connection.cluster else [consumers]
    return [Listener(connection, group, slots, outage, wakeup) for group in groups]
