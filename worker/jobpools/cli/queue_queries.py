"""What `jobpools queues` reads and changes."""

from typing import Any

from jobpools.cli.acting_user import acting_user
from jobpools.cli.output import format_time
from jobpools.core.jobs.job import Priority
from jobpools.core.jobs.policies import QueueLimits
from jobpools.core.text.did_you_mean import did_you_mean
from jobpools.core.text.names import QueueName
from jobpools.errors import ConfigurationError
from jobpools.options import check_queue
from jobpools.store import keys, ledger, queue_policies
from jobpools.store.connection import Connection
from jobpools.store.endpoint_facts import read_endpoint
from jobpools.store.queue_policies import StoredPolicy
from jobpools.store.server import queue_names


def _checked(name: str) -> str:
    try:
        return check_queue(name)
    except ValueError as error:
        raise ConfigurationError(f"queues: {error}") from error


async def details(connection: Connection, name: str) -> dict[str, Any]:
    """Return the jobs of a queue by state and priority, its limits and its pause."""
    facts = (await read_endpoint(connection, {"": [_checked(name)]})).queues[QueueName(name)]
    counts = (await ledger.read(connection, [name]))[name]
    lengths = await connection.gather([("LLEN", keys.of_queue(name, f"ready:{each}")) for each in Priority])
    return {
        "queue": name,
        "queued": dict(zip(map(str, Priority), map(int, lengths), strict=True)),
        "scheduled": counts.scheduled,
        "running": counts.running,
        "dead": counts.dead,
        "oldestSeconds": None if facts.oldest_seconds is None else round(facts.oldest_seconds, 1),
        "totals": {
            "enqueued": counts.enqueued,
            "completed": counts.completed,
            "cancelled": counts.cancelled,
            "purged": counts.purged,
            "dropped": counts.dropped,
        },
        **_policy_row(await queue_policies.read_policy(connection, name)),
    }


def _policy_row(policy: StoredPolicy) -> dict[str, Any]:
    pause = policy.pause
    paused = pause and {"since": format_time(pause.since), "by": pause.by, "reason": pause.reason}
    return {
        "limits": {
            "maxDepth": policy.limits.max_depth,
            "overflow": str(policy.limits.overflow),
            "maxScheduled": policy.limits.max_scheduled,
        },
        "paused": paused,
    }


async def unused_hint(connection: Connection, name: str) -> str:
    """Return a hint that the queue has had no job, so that its name may be mistyped; empty: it has had jobs."""
    names = await queue_names(connection)
    return "" if name in names else f"queue {name} has had no job yet{did_you_mean(name, names)}"


async def set_limits(connection: Connection, name: str, limits: QueueLimits) -> dict[str, Any]:
    """Set a queue's limits and return all of them."""
    return {"queue": _checked(name), **_policy_row(await queue_policies.set_limits(connection, name, limits))}


async def pause(connection: Connection, name: str, by: str, reason: str) -> int:
    """Pause a queue and return how many jobs are queued."""
    await queue_policies.pause(connection, _checked(name), by=by or acting_user(), reason=reason)
    return await _queued(connection, name)


async def resume(connection: Connection, name: str) -> tuple[bool, int]:
    """Resume a queue; return whether it was paused, and how many jobs are queued."""
    was_paused = (await queue_policies.read_policy(connection, _checked(name))).pause is not None
    await queue_policies.resume(connection, name)
    return was_paused, await _queued(connection, name)


async def _queued(connection: Connection, name: str) -> int:
    return (await ledger.read(connection, [name]))[name].ready
