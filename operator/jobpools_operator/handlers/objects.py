"""Handlers of the watch of WorkerPools and CronJobSpecs: they parse objects and pass them to the controller."""

from collections.abc import Mapping
from typing import Any

import kopf

from jobpools.core.decision import Decision
from jobpools.core.objects import GROUP, VERSION
from jobpools.core.reasons import SharedReason
from jobpools.errors import SpecError
from jobpools_operator.controller import Controller
from jobpools_operator.handlers import REGISTRY
from jobpools_operator.handlers.parse import meta_of, parse
from jobpools_operator.kinds import Kind, ObjectId


@kopf.on.event(GROUP, VERSION, Kind.POOL.plural, registry=REGISTRY)
async def on_pool(type: str | None, body: Mapping[str, Any], memo: Any, **_: Any) -> None:  # noqa: A002  # kopf's name
    """Handle one event of the watch of WorkerPools."""
    _on_event(memo.controller, Kind.POOL, type, body)


@kopf.on.event(GROUP, VERSION, Kind.SCHEDULE.plural, registry=REGISTRY)
async def on_schedule(type: str | None, body: Mapping[str, Any], memo: Any, **_: Any) -> None:  # noqa: A002  # kopf's name
    """Handle one event of the watch of CronJobSpecs."""
    _on_event(memo.controller, Kind.SCHEDULE, type, body)


def _on_event(controller: Controller, kind: Kind, event: str | None, body: Mapping[str, Any]) -> None:
    if event == "DELETED":
        controller.delete(ObjectId.of(kind, meta_of(body)))
    else:
        update_controller(controller, kind, body)


def update_controller(controller: Controller, kind: Kind, body: Mapping[str, Any]) -> None:
    """Parse an object and pass it to the controller."""
    meta, status = meta_of(body), dict(body.get("status", {}))
    object_id = ObjectId.of(kind, meta)
    if "deletionTimestamp" in body["metadata"]:  # deleted, and kept until its dependents are gone
        controller.delete(object_id)
        return
    try:
        managed = parse(kind, body)
    except SpecError as error:
        controller.reject(object_id, meta, status, Decision(False, SharedReason.INVALID_SPEC, str(error)))
    else:
        controller.update(managed, status)
