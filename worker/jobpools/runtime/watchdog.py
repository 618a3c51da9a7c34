"""Checks the deadlines of all attempts periodically, and how late the event loop comes round to it."""

import asyncio
import time

from jobpools.runtime.blocking import BlockingMonitor
from jobpools.runtime.slots import Slots

INTERVAL = 0.1
"""Seconds between two checks: how late a timeout may be. A check costs less than a timer for each attempt."""

clock = time.monotonic


class Watchdog:
    """The task that checks deadlines. Time for which a job blocks the event loop counts against that job only."""

    def __init__(self, slots: Slots, monitor: BlockingMonitor) -> None:
        self._slots = slots
        self._monitor = monitor

    async def run(self) -> None:
        """Check again and again."""
        self._monitor.start()
        try:
            while True:
                due = clock() + INTERVAL
                await asyncio.sleep(INTERVAL)
                now = clock()
                self._monitor.turned(now, now - due, self._slots.running)
                self._slots.check_deadlines(now)
        finally:
            self._monitor.stop()
