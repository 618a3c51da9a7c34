"""Commands to single workers in Redis: one hash per pool, worker id to `<ms> <JSON>`."""

from typing import Any

import msgspec

from jobpools.core.pools.worker_states import CommandKind, ReloadAnswer, WorkerCommand
from jobpools.errors import StoreDataError
from jobpools.store import keys, scripts
from jobpools.store.connection import Connection
from jobpools.store.json_objects import decode_json
from jobpools.store.script_arguments import SERVER_CLOCK

ANSWER_LINES, ANSWER_WIDTH = 20, 200
"""Maximum number of settings in an answer to a reload, and of characters of each."""
RELOAD, RELOADED = ":reload", ":reloaded"
"""What follows a worker's id in the fields of its reload and of its answer: a paused worker keeps its other command."""


async def give_command(
    connection: Connection, pool: str, worker: str, command: WorkerCommand, now: int | str = SERVER_CLOCK
) -> int:
    """Tell a worker what to do. Raises StoreError.

    Returns:
        When it was told, in ms by the server's clock; 0: the worker is not listed, and nothing was written.
    """
    values = {"command": command.kind, "by": command.by, "reason": command.reason}
    field = (worker, RELOAD if command.kind is CommandKind.RELOAD else "")
    return await _write(connection, pool, field, msgspec.json.encode(values), now)


async def remove_command(connection: Connection, pool: str, worker: str) -> bool:
    """Remove a worker's command: it resumes. Return False if the worker is not listed. Raises StoreError."""
    return bool(await _write(connection, pool, (worker, ""), b"", SERVER_CLOCK))


async def _write(connection: Connection, pool: str, field: tuple[str, str], command: bytes, now: int | str) -> int:
    names = [keys.workers(pool), keys.commands(pool)]
    return int(await connection.call_keys(scripts.get("command"), names, [now, *field, command]))


async def answer_reload(connection: Connection, pool: str, worker: str, since: float, answer: ReloadAnswer) -> None:
    """Answer the reload that was given at `since`, seconds since the epoch. Raises StoreError."""
    value = b"%d %b" % (round(since * 1000), msgspec.json.encode(_bounded(answer)))
    await connection.execute("HSET", keys.commands(pool), f"{worker}{RELOADED}", value)


def _bounded(answer: ReloadAnswer) -> ReloadAnswer:
    changed, kept = ([text[:ANSWER_WIDTH] for text in texts[:ANSWER_LINES]] for texts in (answer.changed, answer.kept))
    return ReloadAnswer(tuple(changed), tuple(kept), answer.problem[: ANSWER_WIDTH * 4])


async def read_answer(connection: Connection, pool: str, worker: str, given: int) -> ReloadAnswer | None:
    """Return the answer to the reload of this time, in ms; None: it has not come yet. Raises StoreError."""
    value = await connection.execute("HGET", keys.commands(pool), f"{worker}{RELOADED}")
    stamp, _, text = (value or b"").partition(b" ")
    if not stamp.isdigit() or int(stamp) < given:
        return None
    try:
        return msgspec.json.decode(text, type=ReloadAnswer)
    except msgspec.DecodeError as error:
        raise StoreDataError(f"{keys.commands(pool)}: not an answer to a reload: {error}") from error


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
