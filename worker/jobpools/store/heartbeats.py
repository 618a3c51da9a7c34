"""Heartbeats of workers in Redis: one hash per pool, worker id to `<ms> <JSON>`."""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import msgspec

from jobpools.core.pools.facts import Heartbeat
from jobpools.core.pools.worker_states import ReportedState, WorkerCommand
from jobpools.core.text.names import WorkerId
from jobpools.errors import StoreDataError
from jobpools.store import keys, scripts
from jobpools.store.connection import Connection
from jobpools.store.drain_locks import release_drain_locks
from jobpools.store.json_objects import decode_json
from jobpools.store.replies import pairs
from jobpools.store.running_attempts import NO_ATTEMPTS, SAME_ATTEMPTS
from jobpools.store.script_arguments import SERVER_CLOCK
from jobpools.store.worker_commands import RELOAD, RELOADED, command_of, parse_command

UNLISTED_AFTER = 30.0
"""Seconds without a heartbeat (ten intervals) after which a worker is no longer listed."""
_REPORTED = (
    "slots", "busy", "started", "idle_since", "version", "rss_bytes", "completed", "failed", "completed_per_minute",
    "failed_per_minute", "left_behind", "settings",
)  # fmt: skip
"""Fields of Heartbeat that the worker reports as they are; the server adds `seen` and `draining`."""


def parse_heartbeats(pool: str, reply: Any, draining: set[str], now: float) -> tuple[Heartbeat, ...]:
    """Parse the hash of one pool, sorted by worker, without heartbeats that are too old. Raises StoreDataError."""
    found: list[Heartbeat] = []
    for worker, value in pairs(reply):
        stamp, _, report = value.partition(b" ")
        if not stamp.isdigit():
            raise StoreDataError(f"{keys.workers(pool)}: field {worker!r} does not hold a worker heartbeat")
        seen = int(stamp) / 1000
        if now - seen > UNLISTED_AFTER:
            continue
        values = decode_json(report)
        name = worker.decode()
        known = {key: values[key] for key in _REPORTED if key in values}
        found.append(
            Heartbeat(
                worker=WorkerId(name),
                pool=pool,
                seen=seen,
                draining=name in draining,
                state=_state(values.get("state")),
                command=_command(values.get("command")),
                **known,
            )
        )
    return tuple(sorted(found, key=lambda each: each.worker))


def _state(value: Any) -> ReportedState:
    """Return the state of a report; a worker of an older version reports none, and it runs."""
    return ReportedState(value) if value in tuple(ReportedState) else ReportedState.RUNNING


def _command(value: Any) -> WorkerCommand | None:
    if not isinstance(value, dict):
        return None
    fields = cast("dict[str, Any]", value)
    since = fields.get("since")
    return command_of(fields, since if isinstance(since, (int, float)) else 0.0)


class HeartbeatReply(NamedTuple):
    """The reply to a heartbeat: commands, and the version of the settings to follow."""

    command: WorkerCommand | None = None
    """To pause or to stop; None: neither."""
    reload: WorkerCommand | None = None
    """The latest command to reload; None: none was given."""
    settings: str = ""
    """Version of the settings of its pool; empty: none are written."""


async def write_heartbeat(
    connection: Connection, report: Heartbeat, now: int | str = SERVER_CLOCK, *, attempts: bytes = NO_ATTEMPTS
) -> HeartbeatReply:
    """Report that a worker is alive and what it runs, and return the reply.

    The server sets `seen` and `draining`. `attempts`: what `encode_running` returns.
    """
    script = scripts.get("heartbeat")
    values = {name: getattr(report, name) for name in _REPORTED} | {"state": report.state}
    if (command := report.command) is not None:
        values["command"] = {
            "command": command.kind, "by": command.by, "reason": command.reason, "since": command.since,
        }  # fmt: skip
    arguments = [now, report.worker, msgspec.json.encode(values), attempts]
    reply = await connection.call_keys(script, _keys(report.pool), arguments)
    return HeartbeatReply(parse_command(reply[1]), parse_command(reply[2]), reply[3].decode())


def _keys(pool: str) -> list[str]:
    return [keys.workers(pool), keys.commands(pool), keys.running(pool), keys.settings(pool)]


async def repeat_heartbeat(connection: Connection, pool: str, worker: str, now: int | str = SERVER_CLOCK) -> None:
    """Repeat the last heartbeat of a listed worker that is alive and blocked. Raises StoreError."""
    value = await connection.execute("HGET", keys.workers(pool), worker)
    if value is not None:
        report = value.partition(b" ")[2]
        await connection.call_keys(scripts.get("heartbeat"), _keys(pool), [now, worker, report, SAME_ATTEMPTS])


async def remove_worker(connection: Connection, pool: str, worker: str, queues: Sequence[str]) -> None:
    """Remove a stopped worker from the list, and its drain locks."""
    await unlist_workers(connection, pool, [worker])
    await release_drain_locks(connection, queues, worker)


async def unlist_workers(connection: Connection, pool: str, workers: Sequence[str]) -> None:
    """Remove workers from the list, then the commands to them and what they run; their drain locks stay."""
    if workers:
        reloads = [f"{worker}{suffix}" for worker in workers for suffix in (RELOAD, RELOADED)]
        await connection.gather(
            [
                ("HDEL", keys.workers(pool), *workers),
                ("HDEL", keys.commands(pool), *workers, *reloads),
                ("HDEL", keys.running(pool), *workers),
            ]
        )
