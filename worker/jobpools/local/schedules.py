"""The schedules of the files: the cluster's engine, with a view to tell."""

import time
from collections.abc import Callable, Sequence

from jobpools.control.schedules import Scheduler
from jobpools.core.schedules.actions import SchedulePlan
from jobpools.core.schedules.specs import Schedule
from jobpools.store.connect import Connection
from jobpools.store.schedules import StoreSchedules

SHOWN = 4
"""The most schedules of which the next tick is said at the start."""


class Ticks:
    """A scheduler that follows the files, and the port `ScheduleReporter` that says what was fired."""

    def __init__(self, connection: Connection, say: Callable[[str], None], namespace: str) -> None:
        """`namespace` goes without saying."""
        self._say, self._silent = say, f"{namespace}/"
        self._next: dict[str, float] = {}
        self.scheduler = Scheduler(StoreSchedules(connection), self)

    def follow(self, schedules: Sequence[Schedule], *, fire: bool = False) -> None:
        """These are the schedules now. `fire`: fire each once at once, beside its ticks."""
        known, there = self.scheduler.schedules, {schedule.meta.key for schedule in schedules}
        for key in [key for key in known if key not in there]:
            self.scheduler.drop(key)
        for schedule in schedules:
            if known.get(schedule.meta.key) != schedule:
                self.scheduler.put(schedule, fire=fire)

    async def begin(self) -> None:
        """Fire what is due at the start, and say what comes next."""
        await self.scheduler.look()
        if coming := sorted(self._next.items(), key=lambda each: each[1]):
            shown = [f"{name} {_moment(at)}" for name, at in coming[:SHOWN]]
            more = f" and {len(coming) - SHOWN} more" if len(coming) > SHOWN else ""
            self._say(f"next ticks: {', '.join(shown)}{more}")

    async def report_schedule(self, schedule: Schedule, plan: SchedulePlan) -> None:
        """One pass of one schedule."""
        name = schedule.meta.key.removeprefix(self._silent)
        if plan.next_due is not None and not schedule.spec.suspend:
            self._next[name] = plan.next_due
        if plan.fires:
            self._say(f"schedule {name}: {schedule.spec.job.name} goes to queue {schedule.spec.job.queue}")
        for event in plan.events:
            self._say(f"schedule {name}: {event.reason}: {event.message}")


def _moment(at: float) -> str:
    """By this machine's clock, as the lines of a run have it."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
