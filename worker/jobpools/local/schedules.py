"""The schedules of the YAML files and of code: fired by the operator's own engine, with messages for the user."""

import asyncio
from collections.abc import Callable, Sequence

from jobpools.control.code_schedules import CodeScheduler
from jobpools.control.schedules import ScheduleEngine
from jobpools.core.schedules.actions import SchedulePlan
from jobpools.core.schedules.specs import Schedule
from jobpools.core.text.timestamps import local_timestamp
from jobpools.store.connection import Connection
from jobpools.store.schedules import StoreSchedules

MAX_SHOWN_TICKS = 4
"""Maximum number of schedules whose next tick is shown at the start."""


class LocalSchedules:
    """Fires the schedules of the files, and implements the port `ScheduleReporter`."""

    def __init__(self, connection: Connection, notify: Callable[[str], None], namespace: str) -> None:
        """Begin without schedules; `notify` receives messages, which show those in `namespace` by name alone."""
        self._notify = notify
        self._namespace = namespace
        self._next_ticks: dict[str, float] = {}
        self._engine = ScheduleEngine(StoreSchedules(connection), self)
        self._code_scheduler = CodeScheduler(connection, self)

    def follow(self, schedules: Sequence[Schedule], *, fire: bool = False) -> None:
        """Replace the schedules by these. With `fire`, also fire each new or changed one once, now."""
        known, current = self._engine.schedules, {each.meta.key for each in schedules}
        for key in [key for key in known if key not in current]:
            self._engine.drop(key)
        for schedule in schedules:
            if known.get(schedule.meta.key) != schedule:
                self._engine.put(schedule, fire=fire)

    async def start(self) -> None:
        """Fire what is due at the start, and show the next ticks."""
        await self._engine.run_pass()
        if coming := sorted(self._next_ticks.items(), key=lambda each: each[1]):
            shown = [f"{name} {local_timestamp(at)}" for name, at in coming[:MAX_SHOWN_TICKS]]
            more = f" and {len(coming) - MAX_SHOWN_TICKS} more" if len(coming) > MAX_SHOWN_TICKS else ""
            self._notify(f"next ticks: {', '.join(shown)}{more}")

    async def run(self) -> None:
        """Fire each tick when it is due, of the files and of code, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._engine.run())
            group.create_task(self._code_scheduler.run())

    @property
    def has_requested_fires(self) -> bool:
        """Whether a schedule that was to be fired at once has not been fired yet."""
        return self._engine.has_requested_fire

    async def report_schedule(self, schedule: Schedule, plan: SchedulePlan) -> None:
        """Show the fires and events of one pass of one schedule."""
        name = schedule.meta.key.removeprefix(f"{self._namespace}/")
        if plan.next_due is not None and not schedule.spec.suspend:
            self._next_ticks[name] = plan.next_due
        if plan.fires:
            self._notify(f"schedule {name}: enqueued {schedule.spec.job.name} in queue {schedule.spec.job.queue}")
        for event in plan.events:
            self._notify(f"schedule {name}: {event.reason}: {event.message}")
