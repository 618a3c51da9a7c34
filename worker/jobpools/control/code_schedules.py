"""Fire the schedules made in code: one process at a time leads, follows the table in Redis and runs the engine.

The lead is a key in Redis that expires. It only saves work: two processes that both fire, for example after one of them
was suspended for longer than the lead lasts, enqueue each tick once, because its job's id depends on the tick alone.
"""

import asyncio
import contextlib
import logging
import socket
import time
from datetime import UTC, datetime, timedelta
from typing import Final

from jobpools.control.ports import ScheduleReporter
from jobpools.control.schedules import ScheduleEngine
from jobpools.core.schedules.actions import SchedulePlan
from jobpools.core.schedules.code_specs import parse_schedule
from jobpools.core.schedules.specs import Schedule
from jobpools.core.text.error_text import first_line
from jobpools.errors import StoreError
from jobpools.store import draws, schedule_table
from jobpools.store.connection import Connection
from jobpools.store.schedule_table import StoredSchedule
from jobpools.store.schedules import StoreCodeSchedules, read_states

LEAD: Final = 10.0
"""Seconds that the lead lasts without a renewal. If the leader dies, no tick is fired until it has expired."""
CHECK_INTERVAL: Final = 1.0
"""Seconds between two renewals. Each also asks whether a schedule has changed."""
RELOAD_INTERVAL: Final = 30.0
"""Seconds after which the table is read again though no change was counted."""
KEEP_FINISHED: Final = timedelta(days=1)
"""How long a schedule with a single time is kept after that time."""
TICK_PRECISION: Final = 0.001
"""Seconds to which ticks are recorded."""
RELEASE_TIMEOUT: Final = 2.0
"""Maximum seconds to give up the lead at the end."""

log = logging.getLogger("jobpools.scheduler")


class LogReporter:
    """Logs the events of schedules made in code, and implements the port `ScheduleReporter`."""

    async def report_schedule(self, schedule: Schedule, plan: SchedulePlan) -> None:
        """Log the events of one pass."""
        for event in plan.events:
            log.log(logging.WARNING if event.warning else logging.INFO, "%s: %s", schedule.meta.key, event.message)


class CodeScheduler:
    """Fires the schedules made in code while it leads."""

    def __init__(self, connection: Connection, reporter: ScheduleReporter | None = None) -> None:
        """Begin without the lead. `reporter` receives each pass of a schedule. Default: events are logged."""
        self.owner = draws.worker_id(socket.gethostname())
        """Names this process to others that wait for the lead."""
        self._connection = connection
        self._reporter: ScheduleReporter = reporter or LogReporter()
        self._problem = ""
        """The latest error of Redis that was logged."""

    async def run(self) -> None:
        """Lead whenever no other process does, and fire what is due, until cancelled. Then the lead is given up."""
        try:
            while True:
                fence, _ = await self._renew() or (0, 0)
                if fence:
                    log.info("%s fires the schedules made in code (fence %d)", self.owner, fence)
                    await self._fire_while_leading()
                await asyncio.sleep(CHECK_INTERVAL)
        finally:
            with contextlib.suppress(StoreError, TimeoutError):
                async with asyncio.timeout(RELEASE_TIMEOUT):
                    await schedule_table.lead(self._connection, self.owner, 0)

    async def _fire_while_leading(self) -> None:
        follower = TableFollower(self._connection, ScheduleEngine(StoreCodeSchedules(self._connection), self._reporter))
        engine = asyncio.create_task(follower.engine.run(), name="schedules of code")
        try:
            while not engine.done():
                found = await self._renew()
                if found is not None:
                    fence, version = found
                    if not fence:
                        log.warning("%s no longer leads: another process fires the schedules", self.owner)
                        return
                    await follower.follow(version)
                await asyncio.sleep(CHECK_INTERVAL)
            await engine  # raises its error
        finally:
            engine.cancel()
            await asyncio.gather(engine, return_exceptions=True)

    async def _renew(self) -> tuple[int, int] | None:
        """Return the fence and the version of the table; None: Redis does not answer."""
        try:
            found = await schedule_table.lead(self._connection, self.owner, LEAD)
        except StoreError as error:
            if str(error) != self._problem:
                log.warning("schedules made in code wait until Redis is available: %s", error)
            self._problem = str(error)
            return None
        self._problem = ""
        return found


class TableFollower:
    """Keeps an engine's schedules equal to those of the table."""

    def __init__(self, connection: Connection, engine: ScheduleEngine) -> None:
        self.engine = engine
        self._connection = connection
        self._known: dict[str, StoredSchedule] = {}
        self._version = -1
        """The number of changes at the latest read."""
        self._next_read = 0.0
        """Monotonic seconds at which the table is read though no change was counted."""

    async def follow(self, version: int) -> None:
        """Read the table if it has changed, and give the engine what is new, changed or gone."""
        now = time.monotonic()
        if version == self._version and now < self._next_read:
            return
        try:
            found = await schedule_table.read_code(self._connection)
        except StoreError as error:
            log.warning("the schedules made in code cannot be read: %s", error)
            return
        self._version, self._next_read = version, now + RELOAD_INTERVAL
        for key in [key for key in self._known if key not in found]:
            self.engine.drop(key, forget=False)
        for key, stored in found.items():
            if self._known.get(key) != stored:
                self._put(key, stored)
        self._known = found
        await self._delete_finished()

    def _put(self, key: str, stored: StoredSchedule) -> None:
        try:
            self.engine.put(parse_schedule(key, stored.spec, disabled=stored.is_disabled))
        except ValueError as error:
            log.warning("%s: a newer version made this schedule, so it is not fired here: %s", key, first_line(error))
            self.engine.drop(key, forget=False)

    async def _delete_finished(self) -> None:
        """Delete schedules with a single time that has long been over: nothing else would ever do it."""
        limit = datetime.fromtimestamp(self.engine.now(), UTC) - KEEP_FINISHED
        times = {key: each.spec.at for key, each in self.engine.schedules.items() if each.spec.at is not None}
        old = {key: at for key, at in times.items() if at < limit}
        with contextlib.suppress(StoreError):
            for key, facts in (await read_states(self._connection, list(old))).items():
                # Not yet handled: it was due while no scheduler ran, and is still to be fired.
                if facts.handled_until >= old[key].timestamp() - TICK_PRECISION:
                    await schedule_table.delete_schedule(self._connection, key, self._known[key].spec)
