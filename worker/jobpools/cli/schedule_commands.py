"""`jobpools cron`: the schedules recorded in Redis, fired by an operator or by `jobpools up`."""

import time
from typing import Any

from jobpools.cli.command_group import Command, examples, list_group
from jobpools.cli.output import Output, format_time, show
from jobpools.cli.parameters import Format, Redis

COLUMNS = ("schedule", "times", "zone", "next", "last", "state", "fired", "missed", "reason")

cron = list_group("List schedules: when they fire, and how their last jobs ended.", "cron", "cron list --output json")


@cron.command("list", cls=Command, epilog=examples("cron", "cron list --output yaml"))
def list_schedules(redis: Redis = None, output: Format = Output.TABLE) -> None:
    """List schedules: next tick, last fire, and the state of its job.

    A schedule appears once an operator or `jobpools up` has seen it. Overdue means that a tick is due and not fired.
    """
    from jobpools.cli import queries
    from jobpools.store import schedules

    views = queries.run_query(redis, schedules.listed)
    show(
        [_row(view, time.time()) for view in views],
        COLUMNS,
        output,
        "no schedule has been seen yet",
    )


def _row(view: Any, now: float) -> dict[str, Any]:
    from jobpools.core.conditions import condition
    from jobpools.core.objects import Meta
    from jobpools.core.schedules.plan import plan_schedule
    from jobpools.core.schedules.specs import Schedule
    from jobpools.core.schedules.ticks import MAX_LATENESS

    namespace, _, name = view.key.partition("/")
    spec, facts = view.spec, view.facts
    meta = Meta.model_construct(name=name, namespace=namespace)
    plan = plan_schedule(Schedule.model_construct(meta=meta, spec=spec), facts, now, None)
    overdue = not spec.suspend and (plan.missed > 0 or any(fire.due < now - MAX_LATENESS for fire in plan.fires))
    last = facts.jobs[-1] if facts.jobs else None
    return {
        "schedule": view.key,
        "times": spec.schedule or format_time(spec.at.timestamp()),
        "zone": spec.time_zone,
        "next": None if spec.suspend else format_time(plan.next_due),
        "last": format_time(facts.last_fire),
        "state": last.state if last else None,
        "fired": facts.fired,
        "missed": facts.missed,
        "reason": "Overdue" if overdue else condition(plan.status, "Ready")["reason"],
        "job": spec.job.name,
        "queue": spec.job.queue,
        "id": last.id if last else None,
        "active": sum(job.active for job in facts.jobs),
    }
