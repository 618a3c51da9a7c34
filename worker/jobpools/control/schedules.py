"""Fire the due schedules of one Redis endpoint: observe, plan, enqueue, record, report.

All state is in Redis, and the id of a fire depends on the schedule and the due time only. So two schedulers may run at
the same time, for example after a change of leader: each tick is still fired once.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from jobpools.control.ports import ScheduleReporter, Schedules
from jobpools.control.schedule_batches import Planned, handle_batch, observe_batch
from jobpools.control.workqueue import Workqueue
from jobpools.core.schedules.facts import ScheduleFacts
from jobpools.core.schedules.plan import hold_schedule, plan_schedule
from jobpools.core.schedules.requeue import RETRY_INTERVAL
from jobpools.core.schedules.specs import Schedule
from jobpools.core.text.error_text import first_line
from jobpools.core.text.plurals import count_of
from jobpools.errors import StoreError
from jobpools.store.clock import ServerClock

log = logging.getLogger(__name__)

MAX_BATCH: Final = 500
"""Maximum number of schedules in one pass; the next pass follows at once."""
MAX_INTERVAL: Final = 10.0
"""Maximum seconds between two passes: the clock may have been set in between."""
CONFLICT_INTERVAL: Final = 0.5
"""Seconds to the next pass of a schedule when another scheduler recorded a pass of it at the same time."""
CLOCK_TOLERANCE: Final = 1.0
"""Maximum seconds by which the server's time may differ from its estimate before all schedules are planned again."""

Status = Mapping[str, Any]


class ScheduleEngine:
    """Fires schedules when they are due. Between two ticks it does nothing, however many schedules there are."""

    def __init__(
        self, schedules: Schedules, reporter: ScheduleReporter, clock: Callable[[], float] | None = None
    ) -> None:
        """`clock` returns seconds since the epoch; None: the clock of the Redis server."""
        self._server = ServerClock() if clock is None else None
        self._store, self._reporter, self._clock = schedules, reporter, clock or self._server_time
        self._clock_problem = ""
        """Why the server's time is unknown; empty: it is known."""
        self.schedules: dict[str, Schedule] = {}
        self.fired = 0
        """Number of fires since this process started."""
        self._statuses: dict[str, Status | None] = {}
        self._requested: dict[str, float] = {}
        """By key: the time of a requested fire that has not been enqueued yet."""
        self._dropped: set[str] = set()
        """Keys of removed schedules whose state in Redis is still to be deleted."""
        self._due = Workqueue[str]()
        self._changed = asyncio.Event()

    def put(self, schedule: Schedule, before: Status | None = None, *, fire: bool = False) -> None:
        """Add or replace a schedule and plan it now.

        Args:
            schedule: The schedule.
            before: Its status as last written, if another process wrote it.
            fire: Whether to fire it once now, in addition to its ticks.
        """
        key = schedule.meta.key
        self.schedules[key] = schedule
        self._statuses.setdefault(key, before)
        if fire:
            self._requested[key] = self._clock()
        self._due.put(key, self._clock())
        self._changed.set()

    def drop(self, key: str, *, forget: bool = True) -> None:
        """Remove a schedule; `forget` also deletes its state in Redis."""
        if self.schedules.pop(key, None) is None:
            return
        self._due.discard(key)
        self._statuses.pop(key, None)
        self._requested.pop(key, None)
        if forget:
            self._dropped.add(key)
            self._changed.set()

    def now(self) -> float:
        """Return the server's time as the engine estimates it, in seconds since the epoch."""
        return self._clock()

    @property
    def is_idle(self) -> bool:
        """Return whether there is neither a schedule nor a state to delete."""
        return not self.schedules and not self._dropped

    @property
    def has_requested_fire(self) -> bool:
        """Return whether a requested fire has not been enqueued yet."""
        return bool(self._requested)

    async def run(self) -> None:
        """Fire schedules when they are due, until cancelled."""
        while True:
            self._changed.clear()
            wait = await self.run_pass() - self._clock()
            if wait > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(wait, MAX_INTERVAL)):
                        await self._changed.wait()

    async def run_pass(self) -> float:
        """Run one pass over the due schedules, and return when the next one is due, in seconds since the epoch."""
        await self._read_server_time()
        now = self._clock()
        if self._dropped and not await self._delete_dropped():
            return now + RETRY_INTERVAL
        if batch := [self.schedules[key] for key in self._due.take(now, MAX_BATCH)]:
            await self._run_batch(batch, now)
        next_at = self._due.next_at()
        return now + MAX_INTERVAL if math.isinf(next_at) else next_at

    def _server_time(self) -> float:
        return self._server.now() if self._server is not None else time.time()

    async def _read_server_time(self) -> None:
        """Read the server's time, which decides what is due."""
        if self._server is None:
            return
        before = self._server.now()
        try:
            self._server.learn(await self._store.now())
        except StoreError as error:
            self._clock_problem = first_line(error)
            return
        self._clock_problem, now = "", self._server.now()
        if abs(now - before) > CLOCK_TOLERANCE:
            # Plan all schedules again: by the new time they may be due already, or much later.
            self._requested = dict.fromkeys(self._requested, now)
            for key in self.schedules:
                self._due.put(key, now)

    async def _delete_dropped(self) -> bool:
        """Delete the states of removed schedules; return False if Redis cannot be written."""
        keys = sorted(self._dropped)
        try:
            await self._store.forget(keys)
        except StoreError as error:
            log.warning("the state of %s is not deleted yet: %s", ", ".join(keys), error)
            return False
        self._dropped.difference_update(keys)
        return True

    async def _run_batch(self, batch: Sequence[Schedule], now: float) -> None:
        try:
            await self._pass(batch, now)
        except Exception:
            # An unexpected error must not stop the other schedules or the pools. Each one is tried again by itself,
            # because one may be the cause. A job that this pass enqueued already is recognised by its id.
            log.exception("the pass of %s failed", count_of(len(batch), "schedule"))
            if len(batch) == 1:
                self._requeue(batch[0], now + RETRY_INTERVAL)
                return
            for schedule in batch:
                await self._run_batch([schedule], now)

    async def _pass(self, batch: Sequence[Schedule], now: float) -> None:
        # 1 facts
        facts, problem = await self._observe(batch, now)
        # 2 decision
        plans = [self._plan(schedule, facts.get(schedule.meta.key), now, problem) for schedule in batch]
        planned = [each for each in plans if each is not None]
        # 3 effect
        problems, recorded, problem = await handle_batch(self._store, planned, now)
        # 4 status and events, once
        for each in planned:
            if recorded.get(each.key) is False:
                self._requeue(each.schedule, now + CONFLICT_INTERVAL)
            elif each.key in recorded:
                await self._report(each, now)
            else:
                await self._report(self._hold(each.schedule, problems.get(each.key) or problem, now), now)

    async def _observe(self, batch: Sequence[Schedule], now: float) -> tuple[dict[str, ScheduleFacts], str]:
        if self._clock_problem:
            return {}, self._clock_problem
        return await observe_batch(self._store, batch, now)

    def _plan(self, schedule: Schedule, facts: ScheduleFacts | None, now: float, problem: str) -> Planned | None:
        key = schedule.meta.key
        try:
            requested = [self._requested[key]] if key in self._requested else []
            plan = plan_schedule(schedule, facts, now, self._statuses.get(key), requested, problem)
        except Exception:
            # An unexpected error in one schedule must not stop the others; it is tried again.
            log.exception("%s: the pass failed", key)
            self._requeue(schedule, now + RETRY_INTERVAL)
            return None
        return Planned(schedule, facts, plan)

    def _hold(self, schedule: Schedule, problem: str, now: float) -> Planned:
        """Return the plan of a schedule whose state could not be read or written."""
        return Planned(schedule, None, hold_schedule(schedule, self._statuses.get(schedule.meta.key), now, problem))

    async def _report(self, planned: Planned, now: float) -> None:
        schedule, plan, key = planned.schedule, planned.plan, planned.key
        if self.schedules.get(key) is not schedule:
            return  # the schedule was replaced during the pass, and its own pass follows
        if plan.fires:
            self.fired += len(plan.fires)
            log.info("%s: %s, %.0f ms late", key, plan.decision.message, (now - plan.fires[-1].due) * 1000)
        if planned.facts is not None and plan.next_pass > now:
            self._requested.pop(key, None)
        self._statuses[key] = plan.status
        self._requeue(schedule, plan.next_pass)
        await self._reporter.report_schedule(schedule, plan)

    def _requeue(self, schedule: Schedule, at: float) -> None:
        """Make the next pass of the schedule due, unless it was replaced or removed."""
        if self.schedules.get(schedule.meta.key) is schedule:
            self._due.put(schedule.meta.key, at)
