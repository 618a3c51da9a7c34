"""Commands to single workers in Redis: one hash per pool, worker id to `<ms> <JSON>`."""

from typing import Any

import msgspec

from jobpools.core.pools.worker_states import CommandKind, WorkerCommand
from jobpools.errors import StoreDataError
from jobpools.store import keys, scripts
from jobpools.store.connection import Connection
from jobpools.store.json_objects import decode_json
from jobpools.store.script_arguments import SERVER_CLOCK


async def give_command(
    connection: Connection, pool: str, worker: str, command: WorkerCommand, now: int | str = SERVER_CLOCK
) -> bool:
    """Tell a worker what to do; return False if it is not listed. The server sets `since`. Raises StoreError."""
    values = {"command": command.kind, "by": command.by, "reason": command.reason}
    return await _write(connection, pool, worker, msgspec.json.encode(values), now)


async def remove_command(connection: Connection, pool: str, worker: str) -> bool:
    """Remove a worker's command: it resumes. Return False if the worker is not listed. Raises StoreError."""
    return await _write(connection, pool, worker, b"", SERVER_CLOCK)


async def _write(connection: Connection, pool: str, worker: str, command: bytes, now: int | str) -> bool:
    names = [keys.workers(pool), keys.commands(pool)]
    return bool(await connection.call_keys(scripts.get("command"), names, [now, worker, command]))


def parse_command(value: bytes) -> WorkerCommand | None:
    """Return the command that a reply holds. None: it holds none, or one that this version does not know."""
    stamp, _, text = value.partition(b" ")
    if not stamp.isdigit():
        return None
    try:
        return command_of(decode_json(text), int(stamp) / 1000)
    except StoreDataError:
        return None


def command_of(values: dict[str, Any], since: float) -> WorkerCommand | None:
    """Return the command with these fields; None: this version does not know it."""
    kind = values.get("command")
    if kind not in tuple(CommandKind):
        return None
    return WorkerCommand(CommandKind(kind), str(values.get("by", "")), str(values.get("reason", "")), since)
