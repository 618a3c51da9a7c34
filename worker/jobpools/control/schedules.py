"""Fire the due schedules of one Redis endpoint: observe, plan, enqueue, record, report.

All state is in Redis, and the id of a fire depends on the schedule and the due time only. So two schedulers may run at
the same time, for example after a change of leader: each tick is still fired once.
"""

import asyncio
import contextlib
import heapq
import itertools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jobpools.control.ports import ScheduleReporter, Schedules
from jobpools.core.schedules.actions import SchedulePlan
from jobpools.core.schedules.facts import ScheduleFacts
from jobpools.core.schedules.plan import hold_schedule, plan_schedule
from jobpools.core.schedules.requeue import RETRY_INTERVAL
from jobpools.core.schedules.specs import Schedule
from jobpools.core.text.error_text import first_line
from jobpools.errors import ObservationError, StoreDataError, StoreError
from jobpools.store.clock import ServerClock

log = logging.getLogger(__name__)

BATCH: Final = 500
"""Maximum number of schedules in one pass; the next pass follows at once."""
LONGEST_REST: Final = 10.0
"""Maximum seconds between two passes: the clock may have been set meanwhile."""
AGAIN: Final = 0.5
"""Seconds until the next pass of a schedule that another scheduler has recorded meanwhile."""

SAME_TIME: Final = 1.0
"""Maximum seconds between the server's time and its estimate for which no schedule is planned again."""

Status = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Planned:
    """One schedule in one pass; `facts` None: unknown."""

    schedule: Schedule
    facts: ScheduleFacts | None
    plan: SchedulePlan


class Scheduler:
    """Fires schedules when they are due. Between two ticks it does nothing, however many schedules there are."""

    def __init__(
        self, schedules: Schedules, reporter: ScheduleReporter, clock: Callable[[], float] | None = None
    ) -> None:
        """`clock` returns seconds since the epoch; None: the clock of the Redis server."""
        self._server = ServerClock() if clock is None else None
        self._store, self._reporter, self._clock = schedules, reporter, clock or self._server_time
        self._unknown = ""
        """Why the server's time is unknown; empty: it is known."""
        self.schedules: dict[str, Schedule] = {}
        self.fired = 0
        """Number of fires since this process started."""
        self._statuses: dict[str, Status | None] = {}
        self._asked: dict[str, float] = {}
        self._gone: set[str] = set()
        self._next_pass: dict[str, float] = {}
        self._heap: list[tuple[float, int, str]] = []
        """(time, order of insertion, key); elements that `_next_pass` no longer contains are skipped."""
        self._order = itertools.count()
        self._woken = asyncio.Event()

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
            self._asked[key] = self._clock()
        self._enter(key, self._clock())
        self._woken.set()

    def drop(self, key: str, *, forget: bool = True) -> None:
        """Remove a schedule; `forget` also deletes its state in Redis."""
        if self.schedules.pop(key, None) is not None:
            for known in (self._next_pass, self._statuses, self._asked):
                known.pop(key, None)
            if forget:
                self._gone.add(key)
                self._woken.set()

    @property
    def idle(self) -> bool:
        """Return whether there is neither a schedule nor a state to delete."""
        return not self.schedules and not self._gone

    @property
    def asked(self) -> bool:
        """Return whether a requested fire is still to come."""
        return bool(self._asked)

    async def run(self) -> None:
        """Fire schedules when they are due, until cancelled."""
        while True:
            self._woken.clear()
            wait = await self.run_pass() - self._clock()
            if wait > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(wait, LONGEST_REST)):
                        await self._woken.wait()

    def _server_time(self) -> float:
        return self._server.now() if self._server is not None else time.time()

    async def _learn_time(self) -> None:
        """Read the server's time, which decides what is due."""
        if self._server is None:
            return
        before = self._server.now()
        try:
            self._server.learn(await self._store.now())
        except StoreError as error:
            self._unknown = first_line(error)
            return
        self._unknown, now = "", self._server.now()
        if abs(now - before) > SAME_TIME:
            # Plan all schedules again: by the new time they may be due already, or much later.
            self._asked = dict.fromkeys(self._asked, now)
            for key in self.schedules:
                self._enter(key, now)

    async def run_pass(self) -> float:
        """Run one pass over the due schedules, and return when the next one is due, in seconds since the epoch."""
        await self._learn_time()
        now = self._clock()
        if self._gone and not await self._forget():
            return now + RETRY_INTERVAL
        batch = self._due(now)
        if batch:
            await self._try(batch, now)
        self._skip()
        return self._heap[0][0] if self._heap else now + LONGEST_REST

    async def _try(self, batch: Sequence[Schedule], now: float) -> None:
        try:
            await self._pass(batch, now)
        except Exception:
            # An unexpected error must not stop the other schedules or the pools. Each one is tried again by itself,
            # because one may be the cause. A job that this pass enqueued already is recognised by its id.
            log.exception("a pass of %d schedules failed", len(batch))
            if len(batch) == 1:
                self._again(batch[0], now + RETRY_INTERVAL)
                return
            for schedule in batch:
                await self._try([schedule], now)

    def _enter(self, key: str, at: float) -> None:
        self._next_pass[key] = at
        heapq.heappush(self._heap, (at, next(self._order), key))

    def _skip(self) -> None:
        while self._heap and self._next_pass.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)

    def _due(self, now: float) -> list[Schedule]:
        found: dict[str, Schedule] = {}
        while len(found) < BATCH:
            self._skip()
            if not self._heap or self._heap[0][0] > now:
                break
            key = heapq.heappop(self._heap)[2]
            found[key] = self.schedules[key]
        return list(found.values())

    async def _forget(self) -> bool:
        names = sorted(self._gone)
        try:
            await self._store.forget(names)
        except StoreError as error:
            log.warning("schedules %s cannot be forgotten now: %s", ", ".join(names), error)
            return False
        self._gone.difference_update(names)
        return True

    async def _pass(self, batch: Sequence[Schedule], now: float) -> None:
        # 1 facts
        facts, problem = await self._observe(batch, now)
        # 2 decision
        plans = [self._plan(schedule, facts.get(schedule.meta.key), now, problem) for schedule in batch]
        planned = [each for each in plans if each is not None]
        # 3 effect: first the jobs, then the handled ticks. After a crash in between, the same ids are enqueued again.
        problems = await self._store.enqueue(_complete([each for each in planned if each.plan.fires]), now)
        recorded, problem = await self._record([each for each in planned if each.schedule.meta.key not in problems])
        # 4 status and events, once
        for each in planned:
            key = each.schedule.meta.key
            if recorded.get(key) is False:  # another scheduler recorded a pass of it meanwhile
                self._again(each.schedule, now + AGAIN)
            elif key in recorded:
                await self._report(each, now)
            else:
                await self._report(self._hold(each.schedule, problems.get(key) or problem, now), now)

    def _hold(self, schedule: Schedule, problem: str, now: float) -> _Planned:
        """Return the plan of a schedule whose state could not be read or written."""
        return _Planned(schedule, None, hold_schedule(schedule, self._statuses.get(schedule.meta.key), now, problem))

    async def _observe(self, batch: Sequence[Schedule], now: float) -> tuple[dict[str, ScheduleFacts], str]:
        if self._unknown:
            return {}, self._unknown
        try:
            return await self._store.observe(batch, now), "its state cannot be read"
        except (ObservationError, StoreError) as error:
            why = first_line(error)
            unreadable = isinstance(error, StoreDataError)
        if not unreadable or len(batch) == 1:
            return {}, why
        # A key of one queue has another type: find its schedules by bisection, so that the others are still fired.
        middle = len(batch) // 2
        one, _ = await self._observe(batch[:middle], now)
        other, _ = await self._observe(batch[middle:], now)
        return one | other, why

    def _plan(self, schedule: Schedule, facts: ScheduleFacts | None, now: float, problem: str) -> _Planned | None:
        key = schedule.meta.key
        try:
            asked = [self._asked[key]] if key in self._asked else []
            return _Planned(
                schedule, facts, plan_schedule(schedule, facts, now, self._statuses.get(key), asked, problem)
            )
        except Exception:
            # An unexpected error in one schedule must not stop the others; it is tried again.
            log.exception("%s: the pass failed", key)
            self._again(schedule, now + RETRY_INTERVAL)
            return None

    async def _record(self, planned: Sequence[_Planned]) -> tuple[dict[str, bool], str]:
        """Record the handled ticks; return by key whether they are recorded, and why some keys are absent."""
        found = {each.schedule.meta.key: True for each in planned if each.plan.handled is None}
        done = _complete([each for each in planned if each.plan.handled is not None])
        try:
            answers = await self._store.record(done)
        except StoreError as error:
            return found, first_line(error)
        return found | {schedule.meta.key: answer for (schedule, _, _), answer in zip(done, answers, strict=True)}, ""

    async def _report(self, each: _Planned, now: float) -> None:
        schedule, plan = each.schedule, each.plan
        key = schedule.meta.key
        if self.schedules.get(key) is not schedule:
            return  # the schedule was replaced meanwhile, and its own pass follows
        if plan.fires:
            self.fired += len(plan.fires)
            log.info("%s: %s, %.0f ms late", key, plan.decision.message, (now - plan.fires[-1].due) * 1000)
        if each.facts is not None and plan.next_pass > now:
            self._asked.pop(key, None)
        self._statuses[key] = plan.status
        self._again(schedule, plan.next_pass)
        await self._reporter.report_schedule(schedule, plan)

    def _again(self, schedule: Schedule, at: float) -> None:
        if self.schedules.get(schedule.meta.key) is schedule:
            self._enter(schedule.meta.key, at)


def _complete(planned: Sequence[_Planned]) -> list[tuple[Schedule, ScheduleFacts, SchedulePlan]]:
    return [(each.schedule, each.facts, each.plan) for each in planned if each.facts is not None]
