"""A schedule's status: whether it is ready, and its figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from jobpools.core.conditions import conditions
from jobpools.core.decision import Decision
from jobpools.core.jobs.job import JobState
from jobpools.core.schedules.facts import ScheduleFacts
from jobpools.core.schedules.reasons import Place, ScheduleReason
from jobpools.core.schedules.specs import Schedule, ScheduleSpec, Source
from jobpools.core.text.durations import format_duration
from jobpools.core.text.timestamps import timestamp

MAX_CLOCK_LAG: Final = 60.0
"""Maximum seconds from now to the latest handled tick; beyond it the clock is reported as behind."""

Status = Mapping[str, Any]
ConditionDecision = Decision[bool | None]
"""The status of the condition Ready (None: Unknown), its reason and message."""


@dataclass(frozen=True, slots=True)
class PassResult:
    """One schedule after the decisions of a pass."""

    schedule: Schedule
    facts: ScheduleFacts
    """What is known of the schedule, the ticks of this pass included."""
    next_due: float | None
    before: Status | None
    """The status as last written."""
    now: float


def decide_ready(result: PassResult) -> ConditionDecision:
    """Return whether the schedule is ready to fire."""
    spec, facts, now = result.schedule.spec, result.facts, result.now
    if spec.suspend:
        cause = "the schedule is disabled" if spec.source is Source.CODE else "spec.suspend is true"
        return Decision(False, ScheduleReason.SUSPENDED, f"{cause}: ticks are counted as missed")
    if facts.handled_until > now + MAX_CLOCK_LAG:
        lag = format_duration(facts.handled_until - now)
        message = f"ticks up to {timestamp(facts.handled_until)} are already handled, which is {lag} after this clock"
        return Decision(False, ScheduleReason.CLOCK_BEHIND, message)
    if result.next_due is not None:
        return Decision(True, ScheduleReason.SCHEDULED, f"fires {_describe_times(spec, result.next_due)}")
    if facts.last_due is None:
        return Decision(False, ScheduleReason.PAST, "spec.at was over when the schedule was first seen")
    return Decision(True, ScheduleReason.FINISHED, "spec.at is over")


def _describe_times(spec: ScheduleSpec, next_due: float) -> str:
    if spec.schedule is not None:
        return f"at the times of {spec.schedule!r} in {spec.time_zone}"
    return f"at {timestamp(next_due)}" if spec.at is not None else spec.times


def build_status(result: PassResult, ready: ConditionDecision) -> dict[str, Any]:
    """Return the status in the form of the CRD, without what is unknown."""
    facts, generation = result.facts, result.schedule.meta.generation
    has_next = result.next_due is not None and not result.schedule.spec.suspend
    known: dict[str, Any] = {
        "observedGeneration": generation,
        "nextScheduleTime": timestamp(result.next_due or 0.0) if has_next else None,
        "lastScheduleTime": None if facts.last_fire is None else timestamp(facts.last_fire),
        "lastJob": _last_job(result),
        "active": len(facts.unfinished),
        "fired": facts.fired,
        "missed": facts.missed,
    }
    figures = {name: value for name, value in known.items() if value is not None}
    return figures | {"conditions": conditions({Place.READY: ready}, result.before, generation, result.now)}


def _last_job(result: PassResult) -> dict[str, str] | None:
    """Return the last job. A final state that was reported is kept when the queue no longer knows the job."""
    if not result.facts.jobs:
        return None
    last = result.facts.jobs[-1]
    state = last.state or _reported_final_state(result.before, last.id)
    return {"id": last.id, "state": state} if state else {"id": last.id}


def _reported_final_state(before: Status | None, job_id: str) -> str:
    reported: dict[str, str] = (before or {}).get("lastJob") or {}
    state = reported.get("state", "") if reported.get("id") == job_id else ""
    return state if state and JobState(state).ended else ""


def keep_status(schedule: Schedule, before: Status | None, ready: ConditionDecision, now: float) -> dict[str, Any]:
    """Return the status of a pass that handled no tick: the last figures, without a next time that will not come."""
    kept = {name: value for name, value in (before or {}).items() if name not in ("conditions", "observedGeneration")}
    if ready.value is False:
        kept.pop("nextScheduleTime", None)
    generation = schedule.meta.generation
    judged = conditions({Place.READY: ready}, before, generation, now)
    return {"observedGeneration": generation} | kept | {"conditions": judged}
