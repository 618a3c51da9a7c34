"""A schedule as users see it, in code and on the command line: made of its spec and what is known of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from jobpools.core.conditions import condition
from jobpools.core.schedules.facts import ScheduleFacts
from jobpools.core.schedules.identity import fire_id, manual_id, times_key
from jobpools.core.schedules.plan import plan_schedule
from jobpools.core.schedules.reasons import Place
from jobpools.core.schedules.specs import Schedule, ScheduleSpec
from jobpools.core.schedules.ticks import MAX_LATENESS, Ticks

OVERDUE: Final = "Overdue"
"""Reason of a schedule of which a tick is due and not fired."""
NEXT_RUNS: Final = 10
"""Default number of next ticks."""


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """One schedule: what it runs and when, and how its last job ended. Returned by `app.scheduler.list()`.

    Example:
        >>> for each in await app.scheduler.list():
        ...     print(each.key, each.times, each.next_run)
    """

    key: str
    """`code:APP/NAME` of a schedule made in code, `NAMESPACE/NAME` of a CronJobSpec."""
    source: str
    """`code` or `CronJobSpec`."""
    declared_by: str | None
    """The code that declares it with `@app.cron`, as in `shop.jobs:app`; None: a call or a CronJobSpec made it."""
    times: str
    """The cron expression, `every 15m`, or the single time."""
    time_zone: str
    enabled: bool
    """False: its ticks are counted as missed."""
    job: str
    """Name of the handler."""
    queue: str
    args: Mapping[str, Any]
    """The handler's arguments, by name."""
    options: Mapping[str, Any]
    """The options of the schedule and of its job that are not the defaults, by name; durations in seconds."""
    next_run: datetime | None
    """The next tick; None: it is disabled, or no tick will follow."""
    last_run: datetime | None
    """The latest tick that was fired; None: none yet."""
    last_job: str | None
    """Id of the job of the latest tick; None: there is none."""
    last_state: str | None
    """State of that job; None: it is unknown, because the job has ended and its record was removed."""
    active: int
    """Number of its jobs that have not ended."""
    fired: int
    """Number of ticks that were fired."""
    missed: int
    """Number of ticks that were counted as missed."""
    reason: str
    """Why it fires or not, as in docs/conditions.md; `Overdue`: a tick is due and was not fired."""


@dataclass(frozen=True, slots=True)
class FireView:
    """One fire of a schedule. Returned by `app.scheduler.fires(name)`."""

    due: datetime
    """The tick, or the time of a manual run."""
    job: str
    """Id of the job."""
    state: str
    """State of the job; empty: it is unknown, because the job has ended and its record was removed."""
    late: float
    """Seconds from the tick until the job was enqueued."""
    manual: bool
    """Whether a user asked for it."""


@dataclass(frozen=True, slots=True)
class KnownSchedule:
    """A stored schedule, and what is known of it."""

    schedule: Schedule
    facts: ScheduleFacts
    declared: str = ""
    """The code that declares it with `@app.cron`; empty: a call or a CronJobSpec made it."""

    @property
    def key(self) -> str:
        """Key of the schedule: `namespace/name`, or `code:app/name`."""
        return self.schedule.meta.key

    def changed(self, schedule: Schedule, now: float) -> "KnownSchedule":
        """Return what is known when `schedule` has replaced this one at `now`: new times begin then."""
        has_new_times = times_key(schedule) != times_key(self.schedule)
        return replace(self, schedule=schedule, facts=replace(self.facts, created=now) if has_new_times else self.facts)


def describe(known: KnownSchedule, now: float) -> ScheduleView:
    """Return a schedule as users see it at `now`, in seconds since the epoch."""
    schedule, facts, spec = known.schedule, known.facts, known.schedule.spec
    plan = plan_schedule(schedule, facts, now, None)
    is_late = plan.missed > 0 or any(fire.due < now - MAX_LATENESS for fire in plan.fires)
    last = facts.jobs[-1] if facts.jobs else None
    return ScheduleView(
        key=schedule.meta.key,
        source=str(spec.source),
        declared_by=known.declared or None,
        times=spec.times,
        time_zone=spec.time_zone,
        enabled=not spec.suspend,
        job=spec.job.name,
        queue=spec.job.queue,
        args=spec.job.kwargs,
        options=_options(spec),
        next_run=None if spec.suspend else _time(plan.next_due),
        last_run=_time(facts.last_fire),
        last_job=last.id if last else None,
        last_state=(last.state if last else None) or None,
        active=sum(job.active for job in facts.jobs),
        fired=facts.fired,
        missed=facts.missed,
        reason=OVERDUE if is_late and not spec.suspend else str(condition(plan.status, Place.READY)["reason"]),
    )


_OPTION_NAMES: Final = {"starting_deadline_seconds": "starting_deadline", "ttl": "result_ttl"}
_SHOWN_APART: Final = {"schedule", "at", "every", "time_zone", "suspend", "redis", "job", "name", "queue", "kwargs"}


def _options(spec: ScheduleSpec) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for model in (spec.job, spec):
        found |= model.model_dump(mode="json", exclude_defaults=True, exclude=_SHOWN_APART)
    return {_OPTION_NAMES.get(name, name): value for name, value in found.items()}


def next_runs(schedule: Schedule, now: float, limit: int) -> list[datetime]:
    """Return at most `limit` ticks after `now`, also those of a disabled schedule. Raises SpecError."""
    ticks, found = Ticks.of(schedule.spec), list[float]()
    tick = ticks.after(now)
    while tick is not None and len(found) < limit:
        found.append(tick)
        tick = ticks.after(tick)
    return [datetime.fromtimestamp(each, UTC) for each in found]


def parse_recent(key: str, text: str) -> list[FireView]:
    """Return recorded fires, the latest first, without states. `text`: `<ms>+<late>` or `<ms>!`, blank-separated."""
    return [_fire(key, token) for token in reversed(text.split())]


def _fire(key: str, token: str) -> FireView:
    is_manual = token.endswith("!")
    due, _, late = token.rstrip("!").partition("+")
    at = int(due) / 1000
    job = manual_id(key, at) if is_manual else fire_id(key, at)
    return FireView(datetime.fromtimestamp(at, UTC), job, "", int(late or 0) / 1000, is_manual)


def _time(instant: float | None) -> datetime | None:
    return None if instant is None else datetime.fromtimestamp(instant, UTC)
