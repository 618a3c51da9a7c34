"""The ports Reporter and ScheduleReporter of the control loop, on Kubernetes."""

from dataclasses import dataclass

from jobpools.core.pools.plan import Plan
from jobpools.core.pools.specs import Pool
from jobpools.core.schedules.actions import SchedulePlan
from jobpools.core.schedules.specs import Schedule
from jobpools_operator.kinds import Kind, ObjectId
from jobpools_operator.kube import manifests
from jobpools_operator.kube.events import EventRecorder
from jobpools_operator.statuses import Statuses


@dataclass
class Counters:
    """Totals since the start of the process."""

    passes: int = 0
    """Passes of pools that began."""
    fires: int = 0
    """Ticks of schedules whose job was enqueued."""
    misdeletions: int = 0
    """Idle workers that were chosen for a scale-down and survived it."""


class Reporter:
    """Reports the status and the events of each pass, and counts what it did."""

    def __init__(self, statuses: Statuses, events: EventRecorder, counters: Counters) -> None:
        self._statuses, self._events, self._counters = statuses, events, counters

    async def report(self, pool: Pool, plan: Plan) -> None:
        """Report one pass of a pool."""
        self._counters.misdeletions += plan.misdeletions
        status = plan.status.to_dict() | {"selector": manifests.selector(pool)}
        self._statuses.report(ObjectId.of(Kind.POOL, pool.meta), status)
        for event in plan.events:
            self._events.record(Kind.POOL, pool.meta, event)

    async def report_schedule(self, schedule: Schedule, plan: SchedulePlan) -> None:
        """Report one pass of a schedule."""
        self._counters.fires += len(plan.fires)
        self._statuses.report(ObjectId.of(Kind.SCHEDULE, schedule.meta), plan.status)
        for event in plan.events:
            self._events.record(Kind.SCHEDULE, schedule.meta, event)
