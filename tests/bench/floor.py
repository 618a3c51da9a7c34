"""The floor: the least work that one process can do for a job on the same server. It is not a job queue.

One script for each round trip pops up to n ids, reads their envelopes from the hash and deletes the previous batch.
Each job runs in a task. There is no lease (a batch is lost with its process), and no validation, result, retry, timeout
or priority.
The client is the worker's, redis-py with hiredis and commands encoded in C, without its pool and its retries.
"""

import asyncio
import itertools
import sys
import time
from typing import Any

import hiredis
import msgspec
from redis.asyncio import Connection, Redis

from jobpools.store import keys
from tests.bench.jobs import QUEUE, app, arguments, between_marks, drained, report, starts

JOBS, READY = keys.of_queue(QUEUE, "jobs"), keys.of_queue(QUEUE, "ready:normal")
BATCH = 500
STEP = """
if #ARGV > 1 then redis.call('HDEL', KEYS[1], unpack(ARGV, 2)) end
local ids = redis.call('LPOP', KEYS[2], ARGV[1])
return ids and {ids, redis.call('HMGET', KEYS[1], unpack(ids))} or {{}, {}}
"""
ADD = "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) return redis.call('RPUSH', KEYS[2], ARGV[1])"


class Envelope(msgspec.Struct):
    id: str
    name: str
    args: dict[str, Any]


async def connect(url: str) -> Connection:
    connection: Connection = Redis.from_url(url).connection_pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py's
    await connection.connect()  # type: ignore[no-untyped-call]  # likewise
    return connection


async def call(connection: Connection, *command: Any) -> Any:
    await connection.send_packed_command(hiredis.pack_command(command))
    return await connection.read_response()


async def drain(url: str, slots: int) -> None:
    connection, create, decode = await connect(url), asyncio.create_task, msgspec.json.Decoder(Envelope).decode
    functions = {name: handler.function for name, handler in app.handlers.items()}
    sha = await call(connection, "SCRIPT", "LOAD", STEP)
    ids: list[bytes] = []
    while not drained.is_set():
        ids, envelopes = await call(connection, "EVALSHA", sha, 2, JOBS, READY, slots, *ids)
        jobs = [decode(raw) for raw in envelopes]
        await asyncio.gather(*[create(functions[job.name](**job.args)) for job in jobs])
    report(between_marks())


# The floors of the other figures


async def pick_up(url: str, jobs: int) -> None:
    """Wait for one job at a time, and run it."""
    connection = await connect(url)
    report("ready")
    while len(starts) < jobs:
        _, raw = await call(connection, "BLPOP", READY, 0)
        job = msgspec.json.decode(raw, type=Envelope)
        await app.handlers[job.name].function(**job.args)
    report(starts)


async def send(url: str, jobs: int) -> None:
    """Enqueue with one round trip for each job."""
    connection = await connect(url)
    sha = await call(connection, "SCRIPT", "LOAD", ADD)
    began = time.monotonic()
    for n in range(jobs):
        job = envelope(n)
        await call(connection, "EVALSHA", sha, 2, JOBS, READY, job.id, msgspec.json.encode(job))
    report(time.monotonic() - began)


async def send_many(url: str, jobs: int) -> None:
    """Enqueue with two commands for BATCH jobs."""
    connection = await connect(url)
    began = time.monotonic()
    for start in range(0, jobs, BATCH):
        batch = [envelope(n) for n in range(start, start + BATCH)]
        pairs = itertools.chain.from_iterable((job.id, msgspec.json.encode(job)) for job in batch)
        await call(connection, "HSET", JOBS, *pairs)
        await call(connection, "RPUSH", READY, *[job.id for job in batch])
    report(time.monotonic() - began)


def envelope(n: int) -> Envelope:
    return Envelope(f"job-{n:032d}", "noop", arguments(n))


if __name__ == "__main__":
    measure = {function.__name__: function for function in (drain, pick_up, send, send_many)}
    asyncio.run(measure[sys.argv[1]](sys.argv[2], int(sys.argv[3])))
