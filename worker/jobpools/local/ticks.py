"""The schedules of the files: the cluster's engine, with a view to tell."""

from collections.abc import Callable, Sequence

from jobpools.control.schedules import Timetable
from jobpools.core.actions import CronPlan
from jobpools.core.specs import Cron
from jobpools.store.connect import Connection
from jobpools.store.schedules import StoreSchedules


class Ticks:
    """A timetable that follows the files, and the port `CronReporter` that says what was fired."""

    def __init__(self, connection: Connection, say: Callable[[str], None], namespace: str) -> None:
        """`namespace` goes without saying."""
        self._say, self._silent = say, f"{namespace}/"
        self.timetable = Timetable(StoreSchedules(connection), self)

    def follow(self, crons: Sequence[Cron], *, fire: bool = False) -> None:
        """These are the schedules now. `fire`: fire each once at once, beside its ticks."""
        known, there = self.timetable.crons, {cron.meta.key for cron in crons}
        for key in [key for key in known if key not in there]:
            self.timetable.drop(key)
        for cron in crons:
            if known.get(cron.meta.key) != cron:
                self.timetable.put(cron, fire=fire)

    async def report_cron(self, cron: Cron, plan: CronPlan) -> None:
        """One pass of one schedule."""
        name = cron.meta.key.removeprefix(self._silent)
        if plan.fires:
            self._say(f"schedule {name}: {cron.spec.job.name} goes to queue {cron.spec.job.queue}")
        for event in plan.events:
            self._say(f"schedule {name}: {event.reason}: {event.message}")
