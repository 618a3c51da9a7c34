"""The jobs of a part of a queue are read while it changes: also between the commands of one read."""

from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from jobpools.store import keys
from jobpools.store.connection import Connection
from jobpools.store.ended_chunks import ended_chunk
from jobpools.store.search_chunks import Chunk, ready_chunk, scored_chunk
from tests.store.conftest import QUEUE

IDS = [f"job-{n:03}" for n in range(200)]
KEY = keys.of_queue(QUEUE, "part")
STAYING = 80
"""Number of jobs at the end that no command removes before they are read."""

Read = Callable[[Connection, Any, int], Any]


def ended_element(job_id: str, at: int) -> bytes:
    return at.to_bytes(6, "big") + (60_000).to_bytes(6, "big") + job_id.encode()


def fill_list(raw: Redis) -> Callable[[], object]:
    raw.rpush(KEY, *IDS)
    return lambda: raw.lpop(KEY)


def fill_set(raw: Redis) -> Callable[[], object]:
    raw.zadd(KEY, {each: n // 30 for n, each in enumerate(IDS)})
    return lambda: raw.zpopmin(KEY)


def fill_set_newest_first(raw: Redis) -> Callable[[], object]:
    raw.zadd(KEY, {each: -(n // 30) + 0.1 * (n % 2) for n, each in enumerate(IDS)})
    return lambda: raw.zpopmax(KEY)


def fill_ended(raw: Redis) -> Callable[[], object]:
    raw.hset(keys.of_queue(QUEUE, "done"), "60000", "1")
    raw.rpush(keys.ended(QUEUE, "60000"), *[ended_element(each, 200 - n // 30) for n, each in enumerate(IDS)][::-1])
    return lambda: raw.rpush(keys.ended(QUEUE, "60000"), ended_element("new", 300), ended_element("new", 300))


@pytest.mark.parametrize(
    ("fill", "read"),
    [
        (fill_list, lambda store, at, size: ready_chunk(store, KEY, at, size)),
        (fill_set, lambda store, at, size: scored_chunk(store, KEY, at, size)),
        (fill_set_newest_first, lambda store, at, size: scored_chunk(store, KEY, at, size, newest_first=True)),
        (fill_ended, lambda store, at, size: ended_chunk(store, QUEUE, at, size, None)),
    ],
)
async def test_jobs_that_stay_are_read_once_while_others_move_before_each_command(
    store: Connection, raw: Redis, monkeypatch: pytest.MonkeyPatch, fill: Callable[[Redis], Any], read: Read
) -> None:
    move, execute = fill(raw), store.execute

    async def execute_after_a_move(*command: Any) -> Any:
        move()
        return await execute(*command)

    monkeypatch.setattr(store, "execute", execute_after_a_move)
    found: list[str] = []
    position = None
    for _ in range(100):
        chunk: Chunk = await read(store, position, 20)
        found += [job_id for job_id, _ in chunk.found if job_id != "new"]
        if chunk.is_last:
            break
        position = chunk.position_after(len(chunk.found))
    assert len(found) == len(set(found))
    assert set(found) >= set(IDS[-STAYING:])
