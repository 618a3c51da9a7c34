"""Decide when a schedule fires: each tick is either fired once or counted as missed once.

A tick is an instant at which the schedule is due. A pass takes the ticks since the latest handled one, decides which
are fired and which are missed, and records the latest of them as handled. Ticks up to that one are never considered
again, so a restart, another leader or a clock that steps back fires none of them twice.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from jobpools.core.decision import Decision
from jobpools.core.jobs.job import JobState
from jobpools.core.reasons import SharedReason
from jobpools.core.schedules.actions import Fire, SchedulePlan
from jobpools.core.schedules.facts import FiredJob, ScheduleFacts
from jobpools.core.schedules.identity import fire_id
from jobpools.core.schedules.reasons import ScheduleReason
from jobpools.core.schedules.requeue import IDLE_INTERVAL, RETRY_INTERVAL, next_pass
from jobpools.core.schedules.specs import ConcurrencyPolicy, Schedule
from jobpools.core.schedules.status import (
    ConditionDecision,
    PassResult,
    Status,
    build_status,
    decide_ready,
    keep_status,
)
from jobpools.core.schedules.status_events import condition_events, describe_missed, tick_events
from jobpools.core.schedules.ticks import ChosenTicks, Ticks, choose_ticks
from jobpools.core.text.timestamps import timestamp
from jobpools.errors import SpecError

MAX_TRACKED_JOBS: Final = 20
"""Maximum number of unfinished jobs that a schedule tracks."""


def plan_schedule(
    schedule: Schedule,
    facts: ScheduleFacts | None,
    now: float,
    before: Status | None,
    requested: Sequence[float] = (),
    problem: str = "",
) -> SchedulePlan:
    """Decide what one pass does about one schedule.

    Args:
        schedule: The schedule.
        facts: What is known of it; None: Redis cannot be read.
        now: Seconds since the epoch.
        before: The status as last written.
        requested: Additional ticks to fire, in seconds since the epoch.
        problem: Why Redis cannot be read.
    """
    try:
        ticks = Ticks.of(schedule.spec)
    except SpecError as error:
        invalid = Decision(False, ScheduleReason.INVALID_SCHEDULE, str(error))
        return _without_ticks(schedule, facts, now, before, invalid)
    if facts is None:
        return hold_schedule(schedule, before, now, problem)
    chosen = choose_ticks(schedule.spec, ticks, facts, now, requested)
    replaced = facts.unfinished if schedule.spec.concurrency_policy is ConcurrencyPolicy.REPLACE else ()
    fires = tuple(Fire(fire_id(schedule.meta.key, tick), tick, replaced) for tick in chosen.fires)
    after = _after(schedule, facts, fires, chosen)
    next_due = ticks.after(max(now, after.handled_until))
    result = PassResult(schedule, after, next_due, before, now)
    ready = decide_ready(result)
    missed = () if schedule.spec.suspend else chosen.missed
    return SchedulePlan(
        fires=fires,
        handled=chosen.handled,
        missed=len(chosen.missed),
        jobs=after.jobs,
        next_due=next_due,
        next_pass=now if chosen.has_more else next_pass(after, next_due, now),
        decision=_decision(chosen, ready),
        status=build_status(result, ready),
        events=(*condition_events(before, ready), *tick_events(missed, replaced if fires else ())),
    )


def hold_schedule(schedule: Schedule, before: Status | None, now: float, problem: str) -> SchedulePlan:
    """Return the plan when Redis could not be read or written: no tick is handled, and the last figures are kept."""
    message = f"ticks wait until Redis is available: {problem}"
    return _without_ticks(schedule, None, now, before, Decision(None, SharedReason.REDIS_UNKNOWN, message))


def _after(schedule: Schedule, facts: ScheduleFacts, fires: tuple[Fire, ...], chosen: ChosenTicks) -> ScheduleFacts:
    """Return the facts as they are once the pass has been recorded."""
    started = tuple(FiredJob(fire.id, schedule.spec.job.queue, str(JobState.QUEUED)) for fire in fires)
    replaced = {job for fire in fires for job in fire.replaces}
    handled = chosen.handled
    return replace(
        facts,
        last_due=facts.last_due if handled is None else max(handled, facts.last_due or 0.0),
        last_fire=fires[-1].due if fires else facts.last_fire,
        jobs=_tracked((*facts.jobs, *started), replaced),
        fired=facts.fired + len(fires),
        missed=facts.missed + len(chosen.missed),
    )


def _tracked(jobs: tuple[FiredJob, ...], replaced: set[FiredJob]) -> tuple[FiredJob, ...]:
    """Return the last job, and before it the unfinished ones; jobs that are being cancelled are not tracked."""
    kept = [job for job in jobs[:-1] if job.active and job not in replaced]
    return (*kept, *jobs[-1:])[-MAX_TRACKED_JOBS:]


def _decision(chosen: ChosenTicks, ready: ConditionDecision) -> Decision[int]:
    missed = describe_missed(chosen.missed) if chosen.missed else ""
    if chosen.fires:
        message = f"tick {timestamp(chosen.fires[-1])} is due"
        return Decision(len(chosen.fires), ScheduleReason.FIRED, f"{message}; {missed}" if missed else message)
    if missed:
        return Decision(0, chosen.missed[-1].reason, missed)
    return Decision(0, ready.reason, ready.message)


def _without_ticks(
    schedule: Schedule, facts: ScheduleFacts | None, now: float, before: Status | None, ready: ConditionDecision
) -> SchedulePlan:
    """Return a plan that handles no tick."""
    return SchedulePlan(
        fires=(),
        handled=None,
        missed=0,
        jobs=facts.jobs if facts else (),
        next_due=None,
        next_pass=now + (RETRY_INTERVAL if ready.value is None else IDLE_INTERVAL),
        decision=Decision(0, ready.reason, ready.message),
        status=keep_status(schedule, before, ready, now),
        events=condition_events(before, ready),
    )
