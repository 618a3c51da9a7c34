"""The contents of one queue on a server, in the form of the model."""

from collections.abc import Iterable
from typing import Any

from jobpools.store import keys
from jobpools.store.records import decode_ended, decode_result
from jobpools.store.sync_connection import SyncConnection

_KIND = {part: keys.kind(part) for part in keys.PARTS} | {"jobs": "names"}
_COMMANDS = {"hash": ("HGETALL",), "names": ("HKEYS",), "zset": ("ZRANGE",), "list": ("LRANGE",), "set": ("SMEMBERS",)}
_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "hash": (), "names": (), "zset": (0, -1, "WITHSCORES"), "list": (0, -1), "set": (),
}  # fmt: skip


def _plain(part: str, value: Any) -> Any:
    """Return the value of a part in the form of the model."""
    match _KIND[part]:
        case "zset":
            return {lease_id.decode(): int(score) for lease_id, score in zip(value[::2], value[1::2], strict=True)}
        case "list":
            return [item.decode() for item in value]
        case "set" | "names":
            return {item.decode() for item in value}
        case _ if part == "history":
            return {job_id.decode() for job_id in value}
        case _ if part == "results":
            return {job_id.decode(): decode_result(raw).state for job_id, raw in value.items()}
        case _:
            return {name.decode(): field.decode() if part == "policy" else int(field) for name, field in value.items()}


def snapshot(connection: SyncConnection, queue: str, classes: Iterable[str]) -> dict[str, Any]:
    """Return the contents of a queue by part; fail if there are other keys.

    `classes` are the classes of TTLs of ended jobs.
    """
    lists = {keys.ended(queue, kind): f"done:{kind}" for kind in classes}
    pipeline = connection.client.pipeline(transaction=False)
    for part in keys.PARTS:
        pipeline.execute_command(*_COMMANDS[_KIND[part]], keys.of_queue(queue, part), *_ARGUMENTS[_KIND[part]])
    for name in lists:
        pipeline.execute_command("LRANGE", name, 0, -1)
    pipeline.execute_command("KEYS", "*")
    *held, all_keys = pipeline.execute()
    assert {key.decode() for key in all_keys} <= {keys.of_queue(queue, part) for part in keys.PARTS} | lists.keys()
    found = {
        part: _plain(part, value)
        for part, value in zip(keys.PARTS, held, strict=False)
        if value and part != "handlers"  # the model has no numbers of handlers
    }
    for part, items in zip(lists.values(), held[len(keys.PARTS) :], strict=True):
        if items:
            found[part] = [decode_ended(item)[2] for item in items]
    return found
