"""Decide when a schedule fires: each tick is either fired once or counted as missed once.

A tick is an instant at which the schedule is due. A pass takes the ticks since the latest handled one, decides which
are fired and which are missed, and records the latest of them as handled. Ticks up to that one are never considered
again, so a restart, another leader or a clock that steps back fires none of them twice.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Any, Final

from jobpools.core.conditions import condition, conditions
from jobpools.core.decision import Decision
from jobpools.core.events import Event
from jobpools.core.jobs.job import JobState
from jobpools.core.schedules import expression as clock
from jobpools.core.schedules.actions import Fire, SchedulePlan
from jobpools.core.schedules.facts import FiredJob, ScheduleFacts
from jobpools.core.schedules.specs import CatchUp, ConcurrencyPolicy, Schedule, ScheduleSpec
from jobpools.core.text.durations import format_duration
from jobpools.core.text.plurals import count_of
from jobpools.core.text.timestamps import timestamp
from jobpools.errors import SpecError

FIRES: Final = 100
"""Maximum number of fires of one schedule in one pass, with `catchUp: All`."""
TICKS: Final = 1000
"""Maximum number of ticks of one schedule in one pass; the next pass follows at once."""
ON_TIME: Final = 30.0
"""Maximum seconds after its due time at which a tick is on time: a standby needs less to take over."""
AHEAD: Final = 60.0
"""Maximum seconds of the latest handled tick in the future before the clock is reported as behind."""
REMEMBERED: Final = 20
"""Maximum number of unfinished jobs that a schedule tracks."""
FIRST_CHECK, LONGEST_CHECK = 2.0, 300.0
"""Minimum and maximum seconds between two reads of a fired job's state; the interval doubles."""
UNKNOWN: Final = 2.0
"""Seconds until the next pass when Redis could not be read or written."""
REST: Final = 3600.0
"""Seconds until the next pass when no tick will follow."""

Status = Mapping[str, Any]
Ready = Decision[bool | None]


def fire_id(key: str, due: float) -> str:
    """Return the job id of a fire, which depends on the schedule (`namespace/name`) and the due time only."""
    return f"fire-{hashlib.sha256(f'{key} {round(due * 1000)}'.encode()).hexdigest()[:32]}"


def times(schedule: Schedule) -> str:
    """Return the schedule's times and identity as one line. If the line changes, ticks are counted from then on."""
    spec = schedule.spec
    line = f"at {spec.at.astimezone(UTC).isoformat()}" if spec.at else f"{spec.schedule} {spec.time_zone}"
    return f"{line} {schedule.meta.uid}".rstrip()


def plan_schedule(
    schedule: Schedule,
    facts: ScheduleFacts | None,
    now: float,
    before: Status | None,
    asked: Sequence[float] = (),
    problem: str = "",
) -> SchedulePlan:
    """Decide what one pass does about one schedule.

    Args:
        schedule: The schedule.
        facts: What is known of it; None: Redis cannot be read.
        now: Seconds since the epoch.
        before: The status as last written.
        asked: Additional ticks to fire, in seconds since the epoch.
        problem: Why Redis cannot be read.
    """
    try:
        ticks = _Ticks.of(schedule.spec)
    except SpecError as error:
        return _idle(schedule, facts, now, before, Decision(False, "InvalidSchedule", str(error)))
    if facts is None:
        return held(schedule, before, now, problem)
    case = _Input(schedule, facts, ticks, now, before)
    return _plan(case, _sort(case, asked))


def held(schedule: Schedule, before: Status | None, now: float, problem: str) -> SchedulePlan:
    """Return the plan when Redis could not be read or written: no tick is handled, and the last figures are kept."""
    said: Ready = Decision(None, "RedisUnknown", f"ticks wait until Redis is back: {problem}")
    return _idle(schedule, None, now, before, said)


@dataclass(frozen=True, slots=True)
class _Ticks:
    """The ticks of a spec."""

    between: Callable[[float, float, int], list[float]]
    after: Callable[[float], float | None]

    @classmethod
    def of(cls, spec: ScheduleSpec) -> "_Ticks":
        """Raises SpecError if the cron expression or the time zone is invalid."""
        if spec.at is not None:
            at = _whole(spec.at.timestamp())
            return cls(
                lambda after, until, limit: [at][:limit] if after < at <= until else [],
                lambda instant: at if instant < at else None,
            )
        cron = clock.parse_cron(spec.schedule or "", spec.time_zone)
        return cls(cron.between, cron.after)


def _whole(tick: float) -> float:
    """Return a tick to the millisecond, as Redis stores it."""
    return math.floor(tick * 1000) / 1000


@dataclass(frozen=True, slots=True)
class _Input:
    """The input of a decision."""

    schedule: Schedule
    facts: ScheduleFacts
    ticks: _Ticks
    now: float
    before: Status | None

    @property
    def since(self) -> float:
        """Return the instant up to which ticks are handled or do not count."""
        return max(self.facts.created, self.facts.last_due or 0.0)

    @property
    def active(self) -> tuple[FiredJob, ...]:
        return tuple(job for job in self.facts.jobs if job.active)


@dataclass(frozen=True, slots=True)
class _Sorted:
    """The ticks of one pass: those to fire, and the missed ones with the reason."""

    fires: tuple[float, ...] = ()
    missed: tuple[tuple[float, str], ...] = ()
    left: bool = False
    """Whether more ticks remain for the next pass."""

    @property
    def handled(self) -> float | None:
        return max((*self.fires, *(tick for tick, _ in self.missed)), default=None)


def _sort(case: _Input, asked: Sequence[float]) -> _Sorted:
    due = case.ticks.between(case.since, case.now, TICKS + 1)
    left, due = len(due) > TICKS, due[:TICKS]
    if not left and not case.schedule.spec.suspend:
        due = sorted({*due, *(tick for tick in map(_whole, asked) if (case.facts.last_due or 0.0) < tick <= case.now)})
    late = [(tick, _late(case, tick)) for tick in due]
    missed = [(tick, why) for tick, why in late if why]
    fires, given_up = _allowed(case, [tick for tick, why in late if not why], left=left)
    if len(fires) > FIRES:
        fires, left = fires[:FIRES], True  # what is missed is older than what is fired, so nothing is passed over
    return _Sorted(tuple(fires), (*missed, *given_up), left)


def _late(case: _Input, tick: float) -> str:
    """Return why a tick must not be fired any more; empty: it may be fired."""
    spec, late = case.schedule.spec, case.now - tick
    if spec.suspend:
        return "Suspended"
    if spec.starting_deadline_seconds is not None and late > spec.starting_deadline_seconds:
        return "DeadlineExceeded"
    return "NotCaughtUp" if spec.catch_up is CatchUp.NONE and late > ON_TIME else ""


def _allowed(case: _Input, good: list[float], *, left: bool) -> tuple[list[float], list[tuple[float, str]]]:
    """Split the ticks that may be fired into those to fire and the missed ones."""
    spec, older = case.schedule.spec, []
    if spec.catch_up is not CatchUp.ALL:
        # If more ticks remain, the latest of all is not among these.
        fires = [] if left else good[-1:]
        older = [(tick, "NotCaughtUp") for tick in good[: len(good) - len(fires)]]
        good = fires
    match spec.concurrency_policy:
        case ConcurrencyPolicy.FORBID:
            fires = [] if case.active else good[:1]
            return fires, [*older, *((tick, "FormerStillRuns") for tick in good[len(fires) :])]
        case ConcurrencyPolicy.REPLACE:
            return good[-1:], [*older, *((tick, "Replaced") for tick in good[:-1])]
        case _:
            return good, older


def _plan(case: _Input, ticks: _Sorted) -> SchedulePlan:
    schedule, facts, now = case.schedule, case.facts, case.now
    replaces = case.active if schedule.spec.concurrency_policy is ConcurrencyPolicy.REPLACE else ()
    fires = tuple(Fire(fire_id(schedule.meta.key, tick), tick, replaces) for tick in ticks.fires)
    fresh = tuple(FiredJob(fire.id, schedule.spec.job.queue, str(JobState.QUEUED)) for fire in fires)
    jobs = _remembered((*facts.jobs, *fresh), replaces if fires else ())
    handled = ticks.handled
    after = replace(
        facts,
        last_due=facts.last_due if handled is None else max(handled, facts.last_due or 0.0),
        last_fire=fires[-1].due if fires else facts.last_fire,
        jobs=jobs,
        fired=facts.fired + len(fires),
        missed=facts.missed + len(ticks.missed),
    )
    next_due = case.ticks.after(max(now, case.since, after.last_due or 0.0))
    ready = _ready(case, after, next_due)
    return SchedulePlan(
        fires=fires,
        handled=handled,
        missed=len(ticks.missed),
        jobs=jobs,
        next_due=next_due,
        next_pass=now if ticks.left else _next_pass(after, next_due, now),
        decision=_decision(fires, ticks, ready),
        status=_status(case, after, next_due, ready),
        events=_events(case, fires, ticks, ready),
    )


def _remembered(jobs: tuple[FiredJob, ...], replaced: tuple[FiredJob, ...]) -> tuple[FiredJob, ...]:
    """Return the last job, and before it the unfinished ones; jobs that are being cancelled are not tracked."""
    kept = [job for job in jobs[:-1] if job.active and job not in replaced]
    return (*kept, *jobs[-1:])[-REMEMBERED:]


def _next_pass(after: ScheduleFacts, next_due: float | None, now: float) -> float:
    """Return when the next pass is: at the next tick, or earlier to read the jobs' states, at growing intervals."""
    tick = now + REST if next_due is None else next_due
    if after.last_fire is None or not any(job.active for job in after.jobs):
        return tick
    return min(tick, now + min(max(FIRST_CHECK, now - after.last_fire), LONGEST_CHECK))


def _decision(fires: tuple[Fire, ...], ticks: _Sorted, ready: Ready) -> Decision[int]:
    given_up = f"; {_why(ticks.missed)}" if ticks.missed else ""
    if fires:
        return Decision(len(fires), "Fired", f"tick {timestamp(fires[-1].due)} is due{given_up}")
    if ticks.missed:
        return Decision(0, ticks.missed[-1][1], given_up.removeprefix("; "))
    return Decision(0, ready.reason, ready.message)


def _ready(case: _Input, after: ScheduleFacts, next_due: float | None) -> Ready:
    spec, now = case.schedule.spec, case.now
    if spec.suspend:
        return Decision(False, "Suspended", "suspend is true: ticks are counted as missed")
    if case.since > now + AHEAD:
        ahead = format_duration(case.since - now)
        message = f"ticks up to {timestamp(case.since)} are done with, and that is {ahead} ahead of this clock"
        return Decision(False, "ClockBehind", message)
    if next_due is not None:
        what = f"at {timestamp(next_due)}" if spec.at else f"by {spec.schedule!r} in {spec.time_zone}"
        return Decision(True, "Scheduled", f"fires {what}")
    if after.last_due is None:
        return Decision(False, "Past", "its time was over when the schedule was first seen")
    return Decision(True, "Finished", "its time is over")


def _status(case: _Input, after: ScheduleFacts, next_due: float | None, ready: Ready) -> dict[str, Any]:
    generation = case.schedule.meta.generation
    suspended = case.schedule.spec.suspend
    known: dict[str, Any] = {
        "observedGeneration": generation,
        "nextScheduleTime": None if next_due is None or suspended else timestamp(next_due),
        "lastScheduleTime": None if after.last_fire is None else timestamp(after.last_fire),
        "lastJob": _last_job(after, case.before),
        "active": sum(job.active for job in after.jobs),
        "fired": after.fired,
        "missed": after.missed,
    }
    given = {name: value for name, value in known.items() if value is not None}
    return given | {"conditions": conditions({"Ready": ready}, case.before, generation, case.now)}


def _last_job(after: ScheduleFacts, before: Status | None) -> dict[str, str] | None:
    """Return the last job; a final state that was reported is kept when the queue no longer knows the job."""
    if not after.jobs:
        return None
    last = after.jobs[-1]
    said: dict[str, str] = (before or {}).get("lastJob") or {}
    state = last.state
    if not state and said.get("id") == last.id and said.get("state") and JobState(said["state"]).ended:
        state = said["state"]
    return {"id": last.id, "state": state} if state else {"id": last.id}


def _idle(
    schedule: Schedule, facts: ScheduleFacts | None, now: float, before: Status | None, ready: Ready
) -> SchedulePlan:
    """Return a plan that handles no tick. It keeps the last figures, but drops a next time that will not come."""
    kept = {name: value for name, value in (before or {}).items() if name not in ("conditions", "observedGeneration")}
    if ready.value is False:
        kept.pop("nextScheduleTime", None)
    said = conditions({"Ready": ready}, before, schedule.meta.generation, now)
    return SchedulePlan(
        fires=(),
        handled=None,
        missed=0,
        jobs=facts.jobs if facts else (),
        next_due=None,
        next_pass=now + (UNKNOWN if ready.value is None else REST),
        decision=Decision(0, ready.reason, ready.message),
        status={"observedGeneration": schedule.meta.generation} | kept | {"conditions": said},
        events=_turned(before, ready),
    )


def _events(case: _Input, fires: tuple[Fire, ...], ticks: _Sorted, ready: Ready) -> tuple[Event, ...]:
    """Return the events of a pass. A fire is not an event: the status shows it, and fires would hide the rest."""
    news = list(_turned(case.before, ready))
    if ticks.missed and not case.schedule.spec.suspend:
        news.append(Event("Missed", _why(ticks.missed), warning=True))
    if replaced := [job.id for fire in fires for job in fire.replaces]:
        news.append(Event("Replaced", f"cancelled {', '.join(replaced)}: the next tick is due"))
    return tuple(news)


def _turned(before: Status | None, ready: Ready) -> tuple[Event, ...]:
    """Return the event of a problem when it begins."""
    quiet = ready.value is not False or ready.reason == "Suspended"
    if quiet or condition(before, "Ready").get("reason") == ready.reason:
        return ()
    return (Event(ready.reason, ready.message, warning=True),)


_WORDS: Final = {
    "Suspended": "the schedule was suspended",
    "DeadlineExceeded": "startingDeadlineSeconds was over",
    "NotCaughtUp": "catchUp leaves them out",
    "FormerStillRuns": "the former job had not ended",
    "Replaced": "a later one replaces them",
}


def _why(missed: Sequence[tuple[float, str]]) -> str:
    """Return a text such as `3 ticks missed up to 2027-01-01T00:00:00Z: catchUp leaves them out`."""
    counts: dict[str, int] = {}
    for _, why in missed:
        counts[why] = counts.get(why, 0) + 1
    ticks, last = count_of(len(missed), "tick"), timestamp(max(tick for tick, _ in missed))
    if len(counts) == 1:
        (why,) = counts
        return f"{ticks} missed up to {last}: {_WORDS[why]}"
    each = ", ".join(f"{count} because {_WORDS[why]}" for why, count in counts.items())
    return f"{ticks} missed up to {last}: {each}"
