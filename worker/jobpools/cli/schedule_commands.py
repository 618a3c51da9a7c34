"""`jobpools cron`: the schedules that a Redis knows, whoever fires them."""

import time
from typing import Any

from jobpools.cli import shell
from jobpools.cli.listings import Form, Redis
from jobpools.cli.output import Output, moment, show

COLUMNS = ("schedule", "times", "zone", "next", "last", "state", "fired", "missed", "reason")

cron = shell.group("Schedules: what they fire, and when.", "cron", "cron list --output json")


@cron.command("list", epilog=shell.examples("cron", "cron list --output yaml"))
def cron_list(redis: Redis = None, output: Form = Output.TABLE) -> None:
    """Schedules: when each fires next, when it last did, what became of that job.

    A schedule is known from when an operator or `jobpools up` first saw it. `Overdue`: a tick came and nobody fired it.
    """
    from jobpools.cli import queries
    from jobpools.store import schedules

    views = queries.ask(redis, schedules.listed)
    show([_row(view, time.time()) for view in views], COLUMNS, output, "no schedule has been seen yet")


def _row(view: Any, now: float) -> dict[str, Any]:
    from jobpools.core.conditions import condition
    from jobpools.core.objects import Meta
    from jobpools.core.schedules.plan import ON_TIME, plan_schedule
    from jobpools.core.schedules.specs import Schedule

    namespace, _, name = view.key.partition("/")
    spec, facts = view.spec, view.facts
    meta = Meta.model_construct(name=name, namespace=namespace)
    plan = plan_schedule(Schedule.model_construct(meta=meta, spec=spec), facts, now, None)
    overdue = not spec.suspend and (plan.missed > 0 or any(fire.due < now - ON_TIME for fire in plan.fires))
    last = facts.jobs[-1] if facts.jobs else None
    return {
        "schedule": view.key,
        "times": spec.schedule or moment(spec.at.timestamp()),
        "zone": spec.time_zone,
        "next": None if spec.suspend else moment(plan.next_due),
        "last": moment(facts.last_fire),
        "state": last.state if last else None,
        "fired": facts.fired,
        "missed": facts.missed,
        "reason": "Overdue" if overdue else condition(plan.status, "Ready")["reason"],
        "job": spec.job.name,
        "queue": spec.job.queue,
        "id": last.id if last else None,
        "active": sum(job.active for job in facts.jobs),
    }
