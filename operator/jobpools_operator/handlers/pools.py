"""WorkerPools as they come, change and go."""

from collections.abc import Mapping
from typing import Any

import kopf

from jobpools.core.objects import GROUP, VERSION
from jobpools.core.pools.specs import Pool
from jobpools.errors import SpecError
from jobpools_operator.handlers import REGISTRY
from jobpools_operator.handlers.parse import meta_of, parse_pool
from jobpools_operator.wake import POOLS, Control, refusal


@kopf.on.event(GROUP, VERSION, POOLS, registry=REGISTRY)
async def on_pool(type: str | None, body: Mapping[str, Any], memo: Any, **_: Any) -> None:  # noqa: A002  # kopf's word
    """One event of the watch."""
    if type == "DELETED":
        memo.control.gone(POOLS, meta_of(body))
    else:
        seen(memo.control, body)


def seen(control: Control, body: Mapping[str, Any]) -> None:
    """A WorkerPool as the API server has it."""
    meta, status = meta_of(body), dict(body.get("status", {}))
    if "deletionTimestamp" in body["metadata"]:  # deleted, and kept until its dependents are gone as well
        control.gone(POOLS, meta)
        return
    try:
        pool: Pool = parse_pool(body)
    except SpecError as error:
        control.refuse(POOLS, meta, status, refusal(meta, "InvalidSpec", str(error)))
    else:
        control.seen(pool, status)
