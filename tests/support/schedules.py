"""Builders of schedules and of what is known of them: each test names only the fields that matter to it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from jobpools.core.schedules.actions import SchedulePlan
from jobpools.core.schedules.facts import FiredJob, ScheduleFacts
from jobpools.core.schedules.specs import Schedule

T0 = datetime(2026, 11, 25, 12, 0, tzinfo=UTC).timestamp()
"""Seconds since the epoch."""
MINUTE = 60.0
RUNNING = FiredJob("fire-1", "default", "running")
ENDED = FiredJob("fire-1", "default", "completed")


def make_schedule(**spec: Any) -> Schedule:
    """Return the schedule `default/tick`, which is due every minute. `spec`: fields as in YAML."""
    base: dict[str, Any] = {"job": {"name": "work"}} | ({} if "at" in spec else {"schedule": "* * * * *"})
    return Schedule.model_validate({"meta": {"name": "tick", "generation": 3}, "spec": base | spec})


def schedule_facts(handled: float | None = T0, **known: Any) -> ScheduleFacts:
    """Return the facts of a schedule that has handled its ticks up to `handled`: 5 fired and 2 missed."""
    return ScheduleFacts(**{"created": T0 - 600, "last_due": handled, "fired": 5, "missed": 2} | known)


def after(facts: ScheduleFacts, plan: SchedulePlan, state: str = "queued") -> ScheduleFacts:
    """Return what is recorded when a plan has been carried out; `state` is that of its jobs."""
    if plan.handled is None:
        return facts
    return replace(
        facts,
        last_due=plan.handled,
        last_fire=plan.fires[-1].due if plan.fires else facts.last_fire,
        jobs=tuple(replace(job, state=state) for job in plan.jobs),
        fired=facts.fired + len(plan.fires),
        missed=facts.missed + plan.missed,
    )
