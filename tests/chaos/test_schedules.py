"""Two processes fire the same schedules and are killed again and again: each tick is fired once."""

import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis

from jobpools.core.schedules.facts import ScheduleFacts
from jobpools.store import keys
from jobpools.store.connect import connect
from jobpools.store.schedules import StoreSchedules
from tests.chaos.firing import schedules
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.chaos

ROOT = Path(__file__).parents[2]
TICKS, KILL_EVERY = 200, 8


def wait(what: str, look: Callable[[], bool]) -> None:
    """As `eventually`, without its rest: what follows shall meet the very moment."""
    until = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < until, what
        time.sleep(0.0005)


def end(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    for process in processes:
        process.kill()
        process.wait()


async def known(url: str, start: float) -> list[ScheduleFacts]:
    connection = connect(url)
    try:
        return list((await StoreSchedules(connection).observe(schedules(start, TICKS), time.time())).values())
    finally:
        await connection.aclose()


async def test_each_tick_once_whoever_is_killed(valkey_url: str) -> None:
    start = round(time.time()) + 3
    await known(valkey_url, start)  # from here on its ticks count

    def process() -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "tests.chaos.firing", valkey_url, str(start), str(TICKS)]
        return subprocess.Popen(command, cwd=ROOT)

    kills = 0
    with Redis.from_url(valkey_url) as redis, ExitStack() as stack:
        pair = [process(), process()]
        stack.callback(lambda: end(pair))

        def enqueued() -> int:
            return int(redis.hget(keys.of_queue("ticks", "totals"), "enqueued") or 0)  # type: ignore[arg-type]  # synchronous

        for number in itertools.count():
            goal = enqueued() + KILL_EVERY
            if goal > TICKS - KILL_EVERY:
                break
            # Right after a job was enqueued: the tick is recorded, or not.
            wait(f"{goal} ticks are fired", lambda goal=goal: enqueued() >= goal)  # type: ignore[misc]  # bound
            pair[number % 2].kill()
            pair[number % 2].wait()
            pair[number % 2] = process()
            kills += 1
        wait("all are fired", lambda: enqueued() >= TICKS)
        state = keys.schedules("state")
        wait("and recorded", lambda: sum(b'"fired":1' in raw for raw in redis.hvals(state)) == TICKS)
        ids = redis.lrange(keys.of_queue("ticks", "ready:normal"), 0, -1)
        assert len(set(ids)) == len(ids) == enqueued() == TICKS  # type: ignore[arg-type]  # a synchronous client
    facts = await known(valkey_url, start)
    assert {(each.fired, each.missed) for each in facts} == {(1, 0)}
    assert kills >= 5
