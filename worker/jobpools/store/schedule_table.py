"""The table of all schedules in one Redis: list them, and change those that are made in code.

The operator or `jobpools up` writes a CronJobSpec, from its YAML: here it is only read and run by hand.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobpools.core.schedules.code_specs import is_code_key, parse_schedule
from jobpools.core.schedules.facts import FiredJob
from jobpools.core.schedules.identity import manual_id, times_key
from jobpools.core.schedules.listing import FireView, KnownSchedule, parse_recent
from jobpools.core.schedules.specs import Schedule
from jobpools.errors import QueueFullError, ScheduleLimitError
from jobpools.store import keys, scripts
from jobpools.store.connection import Connection
from jobpools.store.enqueue import Batch, Sending, enqueue_batch
from jobpools.store.envelope import encode_envelope
from jobpools.store.replies import pairs
from jobpools.store.schedules import envelope_of, forget_moved, job_states, read_specs, read_states, spec_json
from jobpools.store.script_arguments import SERVER_CLOCK
from jobpools.store.server import server_time


@dataclass(frozen=True, slots=True)
class StoredSchedule:
    """A schedule made in code, as it is stored."""

    spec: bytes
    is_disabled: bool
    declared: str
    """The app whose code declares it, as in `shop.jobs:app`; empty: a call of `app.scheduler` made it."""


async def list_schedules(connection: Connection) -> list[KnownSchedule]:
    """Return all schedules that this version can read, sorted by key. Raises StoreError."""
    return await _known(connection, dict(_decoded(await connection.execute("HGETALL", keys.schedules("table")))))


async def read_schedule(connection: Connection, key: str) -> KnownSchedule | None:
    """Return one schedule; None: there is none, or a newer version wrote it. Raises StoreError."""
    raw = await connection.execute("HGET", keys.schedules("table"), key)
    return next(iter(await _known(connection, {key: raw} if raw is not None else {})), None)


async def find_keys(connection: Connection, name: str) -> list[str]:
    """Return the keys of the schedules that `name` names: a key, or the last part of it. Raises StoreError."""
    table = keys.schedules("table")
    if "/" in name:
        return [name] if await connection.execute("HEXISTS", table, name) else []
    found = dict(_decoded(await connection.execute("HGETALL", table)))
    return sorted(key for key in found if key.rpartition("/")[2] == name)


async def read_code(connection: Connection) -> dict[str, StoredSchedule]:
    """Return the schedules made in code by key. Raises StoreError."""
    declared = dict(_decoded(await connection.execute("HGETALL", keys.schedules("code"))))
    if not declared:
        return {}
    names = sorted(declared)
    specs, disabled = await connection.gather(
        [("HMGET", keys.schedules(part), *names) for part in ("table", "disabled")]
    )
    return {
        name: StoredSchedule(spec, off is not None, declared[name].decode())
        for name, spec, off in zip(names, specs, disabled, strict=True)
        if spec is not None
    }


async def save_schedule(
    connection: Connection, schedule: Schedule, declared: str, limit: int, now: int | str = SERVER_CLOCK
) -> bool:
    """Create or change a schedule made in code; return whether anything changed.

    Args:
        connection: Where it is stored.
        schedule: The schedule.
        declared: The app whose code declares it; empty: a call of `app.scheduler` makes it.
        limit: Maximum number of schedules made in code; 0: unlimited.
        now: The time in ms at which new times begin; default: the server's.

    Raises:
        ScheduleLimitError: There are `limit` others.
        StoreError: Redis refused the command or is unreachable.
    """
    before = await read_specs(connection, [schedule.meta.key])
    arguments = [now, schedule.meta.key, spec_json(schedule), times_key(schedule), declared, limit]
    done = await _call(connection, "schedule", ("table", "state", "code", "changes"), arguments)
    if done < 0:
        raise ScheduleLimitError(
            f"schedule {schedule.meta.name}: there are {limit} schedules made in code already; delete some with "
            f"jobpools cron delete NAME, or raise App(max_schedules=…)"
        )
    await forget_moved(connection, before, [schedule])
    return bool(done)


async def delete_schedule(connection: Connection, key: str, spec: bytes = b"") -> bool:
    """Delete a schedule made in code; return whether it existed. Its jobs continue. Raises StoreError.

    With `spec`, it is deleted only if it still has this one: a user may have changed it meanwhile.
    """
    parts = ("table", "state", "code", "disabled", "recent", "changes")
    raw = await _call(connection, "unschedule", parts, [key, spec])
    if raw is None:
        return False
    if (found := _readable(key, raw, disabled=False)) is not None:
        await connection.execute("HDEL", keys.of_queue(found.spec.job.queue, "fires"), key)
    return True


async def switch_schedule(connection: Connection, key: str, *, enabled: bool) -> bool:
    """Enable or disable a schedule made in code; return whether that changed it. Raises StoreError."""
    disabled, now = keys.schedules("disabled"), round(await server_time(connection) * 1000)
    change = ("HDEL", disabled, key) if enabled else ("HSET", disabled, key, now)
    changed, _ = await connection.gather([change, ("HINCRBY", keys.schedules("changes"), "version", 1)])
    return bool(changed)


async def run_schedule(connection: Connection, schedule: Schedule) -> str:
    """Enqueue the schedule's job now, in addition to its ticks, and return the job's id.

    Raises:
        QueueFullError: The queue accepts no further job.
        StoreError: Redis refused the command or is unreachable.
    """
    now = round(await server_time(connection), 3)
    key, job = schedule.meta.key, schedule.spec.job
    envelope = envelope_of(job, manual_id(key, now), now)
    (receipt,) = await enqueue_batch(connection, Batch(job.queue, [Sending(envelope, encode_envelope(envelope))]))
    if receipt < 0:
        raise QueueFullError(f"queue {job.queue}: it is full; run more workers, or raise its limit")
    await _call(connection, "remember", ("recent",), [key, f"{round(now * 1000)}!"])
    return envelope.id


async def recent_fires(connection: Connection, schedule: Schedule) -> list[FireView]:
    """Return the last 20 fires of a schedule, the latest first. Raises StoreError."""
    raw = await connection.execute("HGET", keys.schedules("recent"), schedule.meta.key)
    fires = parse_recent(schedule.meta.key, raw.decode()) if raw else []
    queue = schedule.spec.job.queue
    known = await job_states(connection, [FiredJob(fire.job, queue) for fire in fires])
    return [dataclasses.replace(fire, state=known[queue, fire.job]) for fire in fires]


async def lead(connection: Connection, owner: str, seconds: float) -> tuple[int, int]:
    """Take or renew the lead for some seconds; 0 gives it up. Raises StoreError.

    Returns:
        The fence (0: another one leads), and the number of changes of the schedules made in code.
    """
    fence, version = await _call(connection, "lead", ("leader", "changes"), [owner, round(seconds * 1000)])
    return int(fence), int(version)


async def _call(connection: Connection, name: str, parts: Sequence[str], arguments: Sequence[Any]) -> Any:
    return await connection.call_keys(scripts.get(name), [keys.schedules(part) for part in parts], arguments)


async def _known(connection: Connection, specs: dict[str, bytes]) -> list[KnownSchedule]:
    code = sorted(filter(is_code_key, specs))
    reads = [("HMGET", keys.schedules(part), *code) for part in ("disabled", "code")]
    switches: list[bytes | None]
    owners: list[bytes | None]
    switches, owners = await connection.gather(reads) if code else ([], [])
    disabled = {key for key, off in zip(code, switches, strict=True) if off is not None}
    declared = {key: owner.decode() for key, owner in zip(code, owners, strict=True) if owner}
    read = [_readable(key, specs[key], disabled=key in disabled) for key in sorted(specs)]
    found = {each.meta.key: each for each in read if each is not None}
    facts = await read_states(connection, list(found))
    return [KnownSchedule(found[key], each, declared.get(key, "")) for key, each in facts.items()]


def _readable(key: str, raw: bytes, *, disabled: bool) -> Schedule | None:
    try:
        return parse_schedule(key, raw, disabled=disabled)
    except ValueError:
        return None


def _decoded(reply: Any) -> list[tuple[str, bytes]]:
    return [(name.decode(), raw) for name, raw in pairs(reply)]
