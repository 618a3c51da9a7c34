"""Two processes fire the same schedules and are killed again and again: each tick is fired once."""

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
from jobpools.store.connection import connect
from jobpools.store.schedules import StoreSchedules
from tests.chaos.firing import APART, schedules
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.chaos

ROOT = Path(__file__).parents[2]
TICKS, KILL_EVERY, KILLS = 1000, 8, 10
"""TICKS is larger than the number of ticks until a slow machine has killed the last process."""


def wait(what: str, condition: Callable[[], bool]) -> None:
    """Wait as `eventually` does, with a shorter interval, so that a process is killed right after a tick."""
    until = time.monotonic() + DEADLINE
    while not condition():
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


async def test_each_tick_fires_once_whichever_process_is_killed(valkey_url: str) -> None:
    start = round(time.time()) + 3
    await known(valkey_url, start)  # from here on its ticks are due

    def process() -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "tests.chaos.firing", valkey_url, str(start), str(TICKS)]
        return subprocess.Popen(command, cwd=ROOT)

    with Redis.from_url(valkey_url) as redis, ExitStack() as stack:
        pair = [process(), process()]
        stack.callback(lambda: end(pair))

        def enqueued() -> int:
            return int(redis.hget(keys.of_queue("ticks", "totals"), "enqueued") or 0)  # type: ignore[arg-type]  # synchronous

        for number in range(KILLS):
            goal = enqueued() + KILL_EVERY
            # Killed right after a job was enqueued, when the tick may not be recorded yet.
            wait(f"{goal} ticks are fired", lambda goal=goal: enqueued() >= goal)  # type: ignore[misc]  # bound
            pair[number % 2].kill()
            pair[number % 2].wait()
            pair[number % 2] = process()
        due = int((time.time() - start) / APART.total_seconds())
        assert due < TICKS, "the last kill came before the last tick"
        wait("all that were due are fired", lambda: enqueued() >= due)
        state = keys.schedules("state")
        wait("and recorded", lambda: sum(b'"fired":1' in raw for raw in redis.hvals(state)) >= due)
        end(pair)
        ids = redis.lrange(keys.of_queue("ticks", "ready:normal"), 0, -1)
        assert len(set(ids)) == len(ids) == enqueued()  # type: ignore[arg-type]  # a synchronous client
    facts = await known(valkey_url, start)
    assert {(each.fired, each.missed) for each in facts[:due]} == {(1, 0)}
