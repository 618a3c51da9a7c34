"""The shell of schedules: observe, plan, enqueue, record, report, for those of one Redis endpoint that are due.

All that matters is in Redis, so any number of these may run, one after the other or by mistake at once: each pass
starts from what is recorded, and a fire's id is the same whoever enqueues it.
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
from jobpools.core.schedules.plan import UNKNOWN, held, plan_schedule
from jobpools.core.schedules.specs import Schedule
from jobpools.core.text.error_text import first_line
from jobpools.errors import ObservationError, StoreDataError, StoreError
from jobpools.store.clock import ServerClock

log = logging.getLogger(__name__)

BATCH: Final = 500
"""The most schedules of one pass: what is due at the same moment and beyond it follows at once."""
LONGEST_REST: Final = 10.0
"""Seconds after which the clock is looked at again, should somebody have set it."""
AGAIN: Final = 0.5
"""Seconds to the next look when another pass was recorded in between."""

SAME_TIME: Final = 1.0
"""Seconds by which the server's time may differ from what was expected without anything being planned anew."""

Status = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Look:
    """One schedule in one pass. `facts` None: not known."""

    schedule: Schedule
    facts: ScheduleFacts | None
    plan: SchedulePlan


class Scheduler:
    """Schedules, and when each is worth a look. Costs nothing between two ticks, however many there are."""

    def __init__(
        self, schedules: Schedules, reporter: ScheduleReporter, clock: Callable[[], float] | None = None
    ) -> None:
        """`clock`: seconds since the epoch; None: the server's, whatever this machine's clock says."""
        self._server = ServerClock() if clock is None else None
        self._schedules, self._reporter, self._clock = schedules, reporter, clock or self._server_time
        self._unknown = ""
        """Why the time is not known; empty: it is."""
        self.schedules: dict[str, Schedule] = {}
        self.fired = 0
        """Fires since the start, of this process."""
        self._statuses: dict[str, Status | None] = {}
        self._asked: dict[str, float] = {}
        self._gone: set[str] = set()
        self._look_at: dict[str, float] = {}
        self._heap: list[tuple[float, int, str]] = []
        """(when, order of entry, key); an entry that `_look_at` does not know any more is passed over."""
        self._entries = itertools.count()
        self._woken = asyncio.Event()

    def put(self, schedule: Schedule, before: Status | None = None, *, fire: bool = False) -> None:
        """Look after this schedule, and look at it now. `fire`: fire it once now, beside its ticks.

        `before` is its status as last written, where this scheduler did not write it.
        """
        key = schedule.meta.key
        self.schedules[key] = schedule
        self._statuses.setdefault(key, before)
        if fire:
            self._asked[key] = self._clock()
        self._enter(key, self._clock())
        self._woken.set()

    def drop(self, key: str, *, forget: bool = True) -> None:
        """Look after this schedule no more. `forget`: it is gone, and so shall be what Redis knows of it."""
        if self.schedules.pop(key, None) is not None:
            for known in (self._look_at, self._statuses, self._asked):
                known.pop(key, None)
            if forget:
                self._gone.add(key)
                self._woken.set()

    @property
    def idle(self) -> bool:
        """There is no schedule, and none to be forgotten."""
        return not self.schedules and not self._gone

    @property
    def asked(self) -> bool:
        """A fire that was asked for is still to come."""
        return bool(self._asked)

    async def run(self) -> None:
        """Fire what is due, when it is due, until cancelled."""
        while True:
            self._woken.clear()
            wait = await self.look() - self._clock()
            if wait > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(wait, LONGEST_REST)):
                        await self._woken.wait()

    def _server_time(self) -> float:
        return self._server.now() if self._server is not None else time.time()

    async def _learn_time(self) -> None:
        """Ask the server for its time: ticks are judged by it."""
        if self._server is None:
            return
        before = self._server.now()
        try:
            self._server.learn(await self._schedules.now())
        except StoreError as error:
            self._unknown = first_line(error)
            return
        self._unknown, now = "", self._server.now()
        if abs(now - before) > SAME_TIME:
            # What was planned by another time is looked at again: it may be due, or not for a long time.
            self._asked = dict.fromkeys(self._asked, now)
            for key in self.schedules:
                self._enter(key, now)

    async def look(self) -> float:
        """One pass over what is due now; when the next one is worth a look, seconds since the epoch."""
        await self._learn_time()
        now = self._clock()
        if self._gone and not await self._forget():
            return now + UNKNOWN
        batch = self._due(now)
        if batch:
            await self._try(batch, now)
        self._skip()
        return self._heap[0][0] if self._heap else now + LONGEST_REST

    async def _try(self, batch: Sequence[Schedule], now: float) -> None:
        try:
            await self._pass(batch, now)
        except Exception:
            # What nobody thought of must not end the schedules, nor the pools beside them; these are tried again: each
            # by itself, for one may be to blame. What the pass has enqueued already is known to the queue.
            log.exception("a pass of %d schedules failed", len(batch))
            if len(batch) == 1:
                self._again(batch[0], now + UNKNOWN)
                return
            for schedule in batch:
                await self._try([schedule], now)

    def _enter(self, key: str, at: float) -> None:
        self._look_at[key] = at
        heapq.heappush(self._heap, (at, next(self._entries), key))

    def _skip(self) -> None:
        while self._heap and self._look_at.get(self._heap[0][2]) != self._heap[0][0]:
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
            await self._schedules.forget(names)
        except StoreError as error:
            log.warning("schedules %s cannot be forgotten now: %s", ", ".join(names), error)
            return False
        self._gone.difference_update(names)
        return True

    async def _pass(self, batch: Sequence[Schedule], now: float) -> None:
        # 1 facts
        facts, problem = await self._observe(batch, now)
        # 2 decision
        looks = [
            look for schedule in batch if (look := self._plan(schedule, facts.get(schedule.meta.key), now, problem))
        ]
        # 3 effect: the jobs first, then what was done with the ticks
        failed = await self._schedules.enqueue(_parts([look for look in looks if look.plan.fires]), now)
        recorded, trouble = await self._record([look for look in looks if look.schedule.meta.key not in failed])
        # 4 status and events, once
        for look in looks:
            key = look.schedule.meta.key
            why = failed.get(key) or (trouble if recorded.get(key) is None else "")
            if why:
                look = _Look(look.schedule, None, held(look.schedule, self._statuses.get(key), now, why))  # noqa: PLW2901  # from here on, the look with what was found
            elif not recorded.get(key):
                self._again(look.schedule, now + AGAIN)
                continue
            await self._report(look, now)

    async def _observe(self, batch: Sequence[Schedule], now: float) -> tuple[dict[str, ScheduleFacts], str]:
        if self._unknown:
            return {}, self._unknown
        try:
            return await self._schedules.observe(batch, now), "its state cannot be read"
        except (ObservationError, StoreError) as error:
            why = first_line(error)
            unreadable = isinstance(error, StoreDataError)
        if not unreadable or len(batch) == 1:
            return {}, why
        # One queue's key holds another type: its schedules are found by halves, and the others go on.
        middle = len(batch) // 2
        one, _ = await self._observe(batch[:middle], now)
        other, _ = await self._observe(batch[middle:], now)
        return one | other, why

    def _plan(self, schedule: Schedule, facts: ScheduleFacts | None, now: float, problem: str) -> _Look | None:
        key = schedule.meta.key
        try:
            asked = [self._asked[key]] if key in self._asked else []
            return _Look(schedule, facts, plan_schedule(schedule, facts, now, self._statuses.get(key), asked, problem))
        except Exception:
            # A schedule that cannot even be thought through must not hold up the others; it is tried again.
            log.exception("%s: the pass failed", key)
            self._again(schedule, now + UNKNOWN)
            return None

    async def _record(self, looks: Sequence[_Look]) -> tuple[dict[str, bool], str]:
        """By key, whether what was done with its ticks is recorded, and why some are not there."""
        found = {look.schedule.meta.key: True for look in looks if look.plan.handled is None}
        done = _parts([look for look in looks if look.plan.handled is not None])
        try:
            answers = await self._schedules.record(done)
        except StoreError as error:
            return found, first_line(error)
        return found | {schedule.meta.key: answer for (schedule, _, _), answer in zip(done, answers, strict=True)}, ""

    async def _report(self, look: _Look, now: float) -> None:
        schedule, plan = look.schedule, look.plan
        key = schedule.meta.key
        if self.schedules.get(key) is not schedule:
            return  # another spec came meanwhile, and its own pass will follow
        if plan.fires:
            self.fired += len(plan.fires)
            log.info("%s: %s, %.0f ms late", key, plan.decision.message, (now - plan.fires[-1].due) * 1000)
        if look.facts is not None and plan.look_at > now:
            self._asked.pop(key, None)
        self._statuses[key] = plan.status
        self._again(schedule, plan.look_at)
        await self._reporter.report_schedule(schedule, plan)

    def _again(self, schedule: Schedule, at: float) -> None:
        if self.schedules.get(schedule.meta.key) is schedule:
            self._enter(schedule.meta.key, at)


def _parts(looks: Sequence[_Look]) -> list[tuple[Schedule, ScheduleFacts, SchedulePlan]]:
    return [(look.schedule, look.facts, look.plan) for look in looks if look.facts is not None]
