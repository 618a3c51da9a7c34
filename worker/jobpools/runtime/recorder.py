"""Add what this worker measured to the history of its queues, once a minute."""

import asyncio
import logging
import time
from collections.abc import Sequence

from jobpools.core.histogram import difference
from jobpools.errors import StoreError
from jobpools.runtime.attempt import Phase
from jobpools.runtime.consumer import Consumer
from jobpools.runtime.metrics import Counted, Metrics
from jobpools.runtime.slots import Slots
from jobpools.store.clock import ServerClock
from jobpools.store.connection import Connection
from jobpools.store.minutes import add_measurements

EARLIEST, LATEST = 50.0, 59.0
"""Seconds of the server's minute between which a worker sends its measurements, so that they count for this minute."""
STOP_TIMEOUT = 1.0
"""Maximum seconds to send the last measurements of a worker that stops."""

log = logging.getLogger("jobpools.worker")


class QueueRecorder:
    """Sends the measurements of one queue."""

    def __init__(self, connection: Connection, consumer: Consumer, metrics: Metrics, slots: Slots) -> None:
        self._connection = connection
        self._consumer = consumer
        self._metrics = metrics
        self._slots = slots
        self._sent = Counted()
        self._busy = 0.0
        """Seconds of running that were sent."""
        self._sent_at = time.monotonic()

    async def send(self) -> None:
        """Send what was counted since the last call that succeeded.

        Crash window: if the worker dies before the call, up to a minute of durations, waits and slot time is missing
        from the history. The counts of jobs are not: the script takes them from the queue's totals. If a reply is lost,
        the same measurements are added again by the next call.
        """
        now, counted = time.monotonic(), self._metrics.counted(self._consumer.queue)
        busy = counted.seconds + self._running_seconds(now)
        await add_measurements(
            self._connection,
            self._consumer.queue,
            busy=max(0.0, busy - self._busy),
            slots=self._slots.size * (now - self._sent_at),
            waiting=difference(counted.waiting, self._sent.waiting),
            running=difference(counted.running, self._sent.running),
        )
        self._sent, self._busy, self._sent_at = counted, busy, now

    def _running_seconds(self, now: float) -> float:
        """Return for how long the attempts that have not ended have run."""
        attempts = list(self._consumer.leases.attempts.values())
        running = (each for each in attempts if each.started_at and each.phase is not Phase.SETTLED)
        return sum(now - each.started_at for each in running)


class Recorder:
    """Sends the measurements of all queues of one worker, once a minute."""

    def __init__(self, queues: Sequence[QueueRecorder], clock: ServerClock, fraction: float) -> None:
        """Prepare to send. `fraction`, from [0, 1): when between EARLIEST and LATEST; it differs between workers."""
        self._queues = list(queues)
        self._clock = clock
        self._second = EARLIEST + (LATEST - EARLIEST) * fraction
        self._logged: set[str] = set()

    def add(self, queue: QueueRecorder) -> None:
        """Send the measurements of another queue too."""
        self._queues.append(queue)

    async def run(self) -> None:
        """Send measurements until the task is cancelled; the first time at once, so that each later job is counted."""
        while True:
            await self.send()
            await asyncio.sleep((self._second - self._clock.now()) % 60 or 60)

    async def send(self) -> None:
        """Send the measurements of all queues. Those that Redis does not accept are sent the next time."""
        for each in self._queues:
            try:
                await each.send()
            except StoreError as error:
                if str(error) not in self._logged:
                    self._logged.add(str(error))
                    log.info(
                        "the history of the queues is not written: %s; what is measured is sent again later", error
                    )

    async def stop(self) -> None:
        """Send the last measurements of a worker that stops."""
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await self.send()
        except TimeoutError:
            log.info("the last measurements were not written to the history: Redis did not reply")
