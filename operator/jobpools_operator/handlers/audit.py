"""What a watch may have missed: from time to time both kinds are listed, and the lists are compared with what is known.

kopf lists anew after a break as well, but says nothing of what was deleted meanwhile.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from jobpools.core.pools.specs import Pool
from jobpools.core.schedules.specs import Schedule
from jobpools_operator.handlers import pools, schedules
from jobpools_operator.handlers.parse import meta_of
from jobpools_operator.kube.client import ApiError
from jobpools_operator.wake import POOLS, SCHEDULES, Control

EVERY = 300.0

log = logging.getLogger("jobpools.operator")
List = Callable[[str], Awaitable[list[dict[str, Any]]]]
"""All objects of a plural. Raises ApiError."""


async def audit(control: Control, listed: List) -> None:
    """List and compare, until cancelled."""
    while True:
        await asyncio.sleep(EVERY)
        try:
            await _compare(listed, POOLS, control.pools, control, pools.seen)
            await _compare(listed, SCHEDULES, control.schedules, control, schedules.seen)
        except ApiError as error:
            log.warning("audit: %s", error)


async def _compare(
    listed: List,
    plural: str,
    served: Mapping[str, Pool | Schedule],
    control: Control,
    seen: Callable[[Control, dict[str, Any]], None],
) -> None:
    known = dict(served)
    bodies = {meta_of(body).key: body for body in await listed(plural)}
    for key, item in known.items():
        if key not in bodies:
            log.warning("%s %s is gone, and the watch did not say so", plural, key)
            control.gone(plural, item.meta)
    for key, body in bodies.items():
        found = known.get(key)
        meta = meta_of(body)
        if found is None or meta.uid != found.meta.uid or meta.generation > found.meta.generation:
            seen(control, body)
