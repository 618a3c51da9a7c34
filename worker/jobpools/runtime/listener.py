"""How an idle worker learns that a queue has work: one blocking wait on the wake-ups of all its queues."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from jobpools.errors import StoreError, StoreUnavailableError
from jobpools.runtime.lane import Lane
from jobpools.runtime.outage import FIRST_PAUSE, Outage, Pauses, away, jittered
from jobpools.runtime.processor import Processor
from jobpools.store import reads, wakeups, writes
from jobpools.store.connect import Connection

WAIT = 5.0
"""Seconds that one blocking wait for a wake-up lasts: also how long a lost wake-up can go unnoticed."""
SHORT_WAIT = 0.01
"""Seconds of the wait that finds out whether waiting works again."""


class Listener:
    """Takes wake-ups while the dispatcher rests and slots are free."""

    def __init__(
        self, connection: Connection, lanes: Sequence[Lane], processor: Processor, outage: Outage,
        wake: Callable[[], None],
    ) -> None:  # fmt: skip
        """`connection` is one that may block for WAIT seconds, `wake` tells the dispatcher."""
        self._connection = connection
        self._lanes = list(lanes)
        self._processor = processor
        self._outage = outage
        self._wake = wake
        self._wanted = asyncio.Event()
        self.name = f"wake-ups of {', '.join(lane.queue for lane in lanes)}"

    def rest(self, *, wanted: bool) -> None:
        """The dispatcher has nothing to send: wait for a wake-up, if a job is wanted."""
        if wanted:
            self._wanted.set()
        else:
            self._wanted.clear()

    async def run(self) -> None:
        """Wait again and again."""
        while True:
            await self._wanted.wait()
            try:
                woken = await self._wait()
            except StoreError as error:
                woken = self._lanes
                if away(error):
                    await self._sit_out(error)
                else:
                    await self._find_broken()
            for lane in woken:
                lane.hungry = True
            self._wanted.clear()
            self._wake()

    async def _wait(self) -> Sequence[Lane]:
        """The queues to look at: the one that was woken; all when none was, for a wake-up may have been lost."""
        asked = [lane for lane in self._lanes if not (lane.draining or lane.troubled)]
        if not asked:
            await asyncio.sleep(WAIT)
            return self._lanes
        queue = await wakeups.wait(self._connection, [lane.queue for lane in asked], WAIT)
        if queue is None:
            return self._lanes
        if not self._processor.room():
            # Filled meanwhile from elsewhere: the token is for a worker that has room. One that a full server refuses
            # is made up for by the next look of any worker.
            with contextlib.suppress(StoreUnavailableError):
                await wakeups.pass_on(self._connection, queue)
        woken = next(lane for lane in asked if lane.queue == queue)
        # Whoever was served stands behind next time: the first queue asked is the first one heard.
        self._lanes.remove(woken)
        self._lanes.append(woken)
        return [woken]

    async def _sit_out(self, error: StoreError) -> None:
        """Wait until the server accepts this wait and a write again, whether or not a job is wanted meanwhile."""
        pauses, queues = Pauses(), [lane.queue for lane in self._lanes]
        while away(error):
            self._outage.noticed(error, self.name)
            await asyncio.sleep(jittered(pauses.next()))
            try:
                for queue in queues:
                    await writes.probe(self._connection, queue)
                # A token that this takes is not lost: after an outage all queues are looked at.
                await wakeups.wait(self._connection, queues, SHORT_WAIT)
            except StoreError as again:
                error = again
            else:
                break
        self._outage.over(self.name)

    async def _find_broken(self) -> None:
        """One queue's key holds something else, and spoils the wait for all: it is left out until its steps work."""
        await asyncio.sleep(FIRST_PAUSE)
        for lane in self._lanes:
            try:
                await reads.check_types(self._connection, lane.queue)
            except StoreError as error:
                if not away(error):
                    lane.fail(error)


def listeners(
    connection: Connection, lanes: Sequence[Lane], processor: Processor, outage: Outage, wake: Callable[[], None]
) -> list[Listener]:
    """One for all queues; in a Redis Cluster, where a command reaches one slot only, one for each."""
    groups = [[lane] for lane in lanes] if connection.cluster else [lanes]
    return [Listener(connection, group, processor, outage, wake) for group in groups]
