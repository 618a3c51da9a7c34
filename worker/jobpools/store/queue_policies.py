"""The policy of a queue in Redis: its limits, and whether it is paused."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from jobpools.core.jobs.overflow import Overflow
from jobpools.core.jobs.policies import MAX_DEPTH, MAX_SCHEDULED, Limits, QueueLimits
from jobpools.core.pools.facts import QueuePause
from jobpools.store import keys
from jobpools.store.connection import Connection
from jobpools.store.replies import pairs
from jobpools.store.script_arguments import SERVER_CLOCK

UNSET = ""
"""The value of a field that policy.lua removes."""


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """The policy of a queue as Redis holds it. Limits that are not set have their defaults."""

    limits: Limits
    pause: QueuePause | None
    """None: the queue is not paused."""


def parse_policy(reply: Any) -> StoredPolicy:
    """Return the policy of a reply of HGETALL. A field that cannot be read counts as not set."""
    fields = {name.decode(): value.decode(errors="replace") for name, value in pairs(reply)}
    overflow = fields.get("overflow")
    limits = Limits(
        _number(fields, "max_depth", MAX_DEPTH),
        Overflow(overflow) if overflow in tuple(Overflow) else Overflow.BLOCK,
        _number(fields, "max_scheduled", MAX_SCHEDULED),
    )
    return StoredPolicy(limits, _pause(fields))


def _number(fields: Mapping[str, str], name: str, default: int) -> int:
    text = fields.get(name, "")
    return int(text) if text.isdigit() else default


def _pause(fields: Mapping[str, str]) -> QueuePause | None:
    """Return who paused the queue, when and why; None: it is not paused."""
    if "paused" not in fields:
        return None
    return QueuePause(_number(fields, "paused", 0) / 1000, fields.get("paused_by", ""), fields.get("pause_reason", ""))


async def read_policy(connection: Connection, queue: str) -> StoredPolicy:
    """Read a queue's policy. Raises StoreError."""
    return parse_policy(await connection.execute("HGETALL", keys.of_queue(queue, "policy")))


async def read_pauses(connection: Connection, queues: Collection[str]) -> dict[str, QueuePause]:
    """Return the pauses of those of the queues that are paused. Raises StoreError."""
    names = sorted(queues)
    replies = await connection.gather([("HGETALL", keys.of_queue(name, "policy")) for name in names]) if names else []
    policies = zip(names, map(parse_policy, replies), strict=True)
    return {name: policy.pause for name, policy in policies if policy.pause is not None}


async def set_limits(connection: Connection, queue: str, limits: QueueLimits) -> StoredPolicy:
    """Set the limits that are not None, and return the policy. Raises StoreError."""
    return await _change(
        connection, queue, limits.model_dump(mode="json", include=set(QueueLimits.model_fields), exclude_none=True)
    )


async def pause(connection: Connection, queue: str, *, by: str, reason: str) -> StoredPolicy:
    """Pause a queue: its jobs stay in it, and no worker claims them. Running jobs continue. Raises StoreError."""
    return await _change(connection, queue, {"paused": "now", "paused_by": by, "pause_reason": reason})


async def resume(connection: Connection, queue: str) -> StoredPolicy:
    """Let workers claim the queue's jobs again, at once. Raises StoreError."""
    return await _change(connection, queue, dict.fromkeys(("paused", "paused_by", "pause_reason"), UNSET))


async def _change(connection: Connection, queue: str, fields: Mapping[str, Any]) -> StoredPolicy:
    arguments = [SERVER_CLOCK, keys.WAKE_CHANNEL, queue, *(part for field in fields.items() for part in field)]
    return parse_policy(await connection.call("policy", queue, arguments))
