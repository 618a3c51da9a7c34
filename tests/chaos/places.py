"""Where each job of a queue is, read from the keys that docs/protocol.md describes."""

from collections.abc import Iterator
from typing import Any

from redis import Redis

from jobpools.store import keys
from tests.chaos.append_only import LETTERS

FINAL = ("completed", "dead", "cancelled")


def read(client: Redis, queue: str) -> dict[str, list[str]]:
    """Return the places of each job; a job that is in order has exactly one. Nothing else may change the queue."""
    found: dict[str, list[str]] = {}
    for job_id, place in _places(client, queue):
        found.setdefault(job_id.decode(), []).append(place)
    for job_id in _reply(client, "HKEYS", queue, "jobs"):
        found.setdefault(job_id.decode(), ["only its envelope is left"])
    return found


def records(client: Redis, queue: str, part: str = "results") -> dict[bytes, bytes]:
    """Return the records of ended jobs, or with the part `history` the histories of all jobs."""
    return dict(_reply(client, "HGETALL", queue, part))


def remains(client: Redis, queue: str) -> list[str]:
    """Return what is left of jobs that have ended and should be gone, once all jobs have ended."""
    ended, dead = set(records(client, queue)), set(_reply(client, "ZRANGE", queue, "dead", 0, -1))
    listed = [_reply(client, "LLEN", queue, f"done:{each.decode()}") for each in _reply(client, "HKEYS", queue, "done")]
    sizes = {
        "since": _reply(client, "HLEN", queue, "since"),
        "cancelling": _reply(client, "SCARD", queue, "cancelling"),
        "jobs, of jobs that are not dead": len(set(_reply(client, "HKEYS", queue, "jobs")) - dead),
        "history, of unknown jobs": len(set(_reply(client, "HKEYS", queue, "history")) - ended - dead),
        "lists of ended jobs, without a record": sum(listed) - len(ended),
    }
    return [f"{size} in {part}" for part, size in sizes.items() if size]


def _places(client: Redis, queue: str) -> Iterator[tuple[bytes, str]]:
    for job_id, value in records(client, queue).items():
        yield job_id, LETTERS[value[:1]]
    for part in ("dead", *keys.SCHEDULED):
        for job_id in _reply(client, "ZRANGE", queue, part, 0, -1):
            yield job_id, part
    for part in keys.READY:
        for job_id in _reply(client, "LRANGE", queue, part, 0, -1):
            yield job_id, part
    for lease in _reply(client, "ZRANGE", queue, "leases", 0, -1):
        job_id, worker, _ = lease.rsplit(b":", 2)
        yield job_id, f"leased by {worker.decode()}"


def _reply(client: Redis, command: str, queue: str, part: str, *arguments: int) -> Any:
    return client.execute_command(command, keys.of_queue(queue, part), *arguments)  # type: ignore[no-untyped-call]  # its own
