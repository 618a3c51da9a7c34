"""CronJobSpecs as they come, change and go."""

from collections.abc import Mapping
from typing import Any

import kopf

from jobpools.core.objects import GROUP, VERSION
from jobpools.core.schedules.specs import Schedule
from jobpools.errors import SpecError
from jobpools_operator.handlers import REGISTRY
from jobpools_operator.handlers.parse import meta_of, parse_schedule
from jobpools_operator.wake import SCHEDULES, Control, refusal


@kopf.on.event(GROUP, VERSION, SCHEDULES, registry=REGISTRY)
async def on_schedule(type: str | None, body: Mapping[str, Any], memo: Any, **_: Any) -> None:  # noqa: A002  # kopf's word
    """One event of the watch."""
    if type == "DELETED":
        memo.control.gone(SCHEDULES, meta_of(body))
    else:
        seen(memo.control, body)


def seen(control: Control, body: Mapping[str, Any]) -> None:
    """A CronJobSpec as the API server has it."""
    meta, status = meta_of(body), dict(body.get("status", {}))
    if "deletionTimestamp" in body["metadata"]:  # deleted, and kept until its dependents are gone as well
        control.gone(SCHEDULES, meta)
        return
    try:
        schedule: Schedule = parse_schedule(body)
    except SpecError as error:
        control.refuse(SCHEDULES, meta, status, refusal(meta, "InvalidSpec", str(error)))
    else:
        control.seen(schedule, status)
