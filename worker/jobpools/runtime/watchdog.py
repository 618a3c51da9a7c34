"""Check the deadlines of all attempts periodically, and measure how late the event loop is."""

import asyncio
import time

from jobpools.runtime.blocking import BlockingMonitor
from jobpools.runtime.slots import Slots

INTERVAL = 0.1
"""Seconds between two checks, and by which a timeout may be late. A check costs less than a timer per attempt."""

clock = time.monotonic


class Watchdog:
    """The task that checks deadlines. The time for which a job blocks the event loop counts against that job only."""

    def __init__(self, slots: Slots, monitor: BlockingMonitor) -> None:
        self._slots = slots
        self._monitor = monitor

    async def run(self) -> None:
        """Check deadlines until the task is cancelled."""
        self._monitor.start()
        try:
            while True:
                due = clock() + INTERVAL
                await asyncio.sleep(INTERVAL)
                now = clock()
                self._monitor.record_turn(now, now - due, self._slots.running)
                self._slots.check_deadlines(now)
        finally:
            self._monitor.stop()
