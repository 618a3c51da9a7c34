"""The resync: lists both kinds from time to time, and corrects what the watch has missed.

kopf also lists again after a broken watch, but does not report which objects were deleted meanwhile.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from jobpools.core.objects import Meta
from jobpools_operator.controller import Controller
from jobpools_operator.handlers.objects import update_controller
from jobpools_operator.handlers.parse import meta_of
from jobpools_operator.kinds import Kind, ObjectId
from jobpools_operator.kube.client import ApiError

INTERVAL = 300.0
"""Seconds between two resyncs."""

log = logging.getLogger("jobpools.operator")
ListObjects = Callable[[Kind], Awaitable[list[dict[str, Any]]]]
"""Returns all objects of a kind. Raises ApiError."""


async def resync_forever(controller: Controller, list_objects: ListObjects) -> None:
    """Resync every INTERVAL, until cancelled."""
    while True:
        await asyncio.sleep(INTERVAL)
        try:
            for kind in Kind:
                await resync(controller, kind, list_objects)
        except ApiError as error:
            log.warning("resync: %s", error)


async def resync(controller: Controller, kind: Kind, list_objects: ListObjects) -> None:
    """List a kind, and pass the differences from the registry to the controller. Raises ApiError."""
    # Before the list: an object that is created during the request must not look like a deleted one.
    known = {object_id: record.meta for object_id, record in controller.registry.items() if object_id.kind is kind}
    bodies = {ObjectId.of(kind, meta_of(body)): body for body in await list_objects(kind)}
    for object_id in known.keys() - bodies.keys():
        log.warning("%s: the watch missed its deletion, and the resync found it", object_id)
        controller.delete(object_id)
    for object_id, body in bodies.items():
        if _is_newer(meta_of(body), known.get(object_id)):
            update_controller(controller, kind, body)


def _is_newer(meta: Meta, known: Meta | None) -> bool:
    """Return whether the registry lacks the listed object, or has an older spec of it."""
    return known is None or meta.uid != known.uid or meta.generation > known.generation
