"""The schedules of the files: the cluster's engine, with a view to tell."""

import time
from collections.abc import Callable, Sequence

from jobpools.control.schedules import Timetable
from jobpools.core.schedules.actions import CronPlan
from jobpools.core.schedules.specs import Cron
from jobpools.store.connect import Connection
from jobpools.store.schedules import StoreSchedules

SHOWN = 4
"""The most schedules of which the next tick is said at the start."""


class Ticks:
    """A timetable that follows the files, and the port `CronReporter` that says what was fired."""

    def __init__(self, connection: Connection, say: Callable[[str], None], namespace: str) -> None:
        """`namespace` goes without saying."""
        self._say, self._silent = say, f"{namespace}/"
        self._next: dict[str, float] = {}
        self.timetable = Timetable(StoreSchedules(connection), self)

    def follow(self, crons: Sequence[Cron], *, fire: bool = False) -> None:
        """These are the schedules now. `fire`: fire each once at once, beside its ticks."""
        known, there = self.timetable.crons, {cron.meta.key for cron in crons}
        for key in [key for key in known if key not in there]:
            self.timetable.drop(key)
        for cron in crons:
            if known.get(cron.meta.key) != cron:
                self.timetable.put(cron, fire=fire)

    async def begin(self) -> None:
        """Fire what is due at the start, and say what comes next."""
        await self.timetable.look()
        if coming := sorted(self._next.items(), key=lambda each: each[1]):
            shown = [f"{name} {_moment(at)}" for name, at in coming[:SHOWN]]
            more = f" and {len(coming) - SHOWN} more" if len(coming) > SHOWN else ""
            self._say(f"next ticks: {', '.join(shown)}{more}")

    async def report_cron(self, cron: Cron, plan: CronPlan) -> None:
        """One pass of one schedule."""
        name = cron.meta.key.removeprefix(self._silent)
        if plan.next_due is not None and not cron.spec.suspend:
            self._next[name] = plan.next_due
        if plan.fires:
            self._say(f"schedule {name}: {cron.spec.job.name} goes to queue {cron.spec.job.queue}")
        for event in plan.events:
            self._say(f"schedule {name}: {event.reason}: {event.message}")


def _moment(at: float) -> str:
    """By this machine's clock, as the lines of a run have it."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
