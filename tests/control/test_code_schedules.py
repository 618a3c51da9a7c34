"""Schedules made in code are fired by the one process that leads, on a real Valkey."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from redis import Redis

from jobpools import App
from jobpools.control import code_schedules
from jobpools.control.code_schedules import CodeScheduler
from jobpools.control.schedules import ScheduleEngine
from jobpools.store import schedule_table
from jobpools.store.connection import Connection, connect
from tests.support.waiting import until

DEADLINE = 10.0


@pytest.fixture
async def app(valkey_url: str) -> AsyncIterator[App]:
    async with App("shop", redis=valkey_url) as made:

        @made.job(queue="reports")
        async def report() -> None: ...

        yield made


@pytest.fixture
async def connection(valkey_url: str) -> AsyncIterator[Connection]:
    made = connect(valkey_url)
    yield made
    await made.aclose()


@contextlib.asynccontextmanager
async def running(connection: Connection) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(CodeScheduler(connection).run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def fired(valkey_url: str) -> list[str]:
    """Return the ids of all jobs that were fired."""
    with Redis.from_url(valkey_url, decode_responses=True) as client:
        return cast("list[str]", client.lrange("jobpools:{reports}:ready:normal", 0, -1))


@pytest.fixture(autouse=True)
def check_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_schedules, "CHECK_INTERVAL", 0.05)


async def test_a_schedule_of_code_is_fired_until_it_is_deleted(
    app: App, connection: Connection, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()

    class Engine(ScheduleEngine):
        def drop(self, key: str, *, forget: bool = True) -> None:
            super().drop(key, forget=forget)
            left.set_result([*self.schedules])

    monkeypatch.setattr(code_schedules, "ScheduleEngine", Engine)
    async with running(connection):
        await app.scheduler.every(1, app.handlers["report"])
        await until(lambda: len(fired(valkey_url)) >= 1)
        await app.scheduler.delete("report")
        async with asyncio.timeout(DEADLINE):
            assert await left == []


async def test_two_schedulers_fire_each_tick_once(app: App, connection: Connection, valkey_url: str) -> None:
    other = connect(valkey_url)
    async with running(connection), running(other):
        await app.scheduler.every(1, app.handlers["report"], catch_up="All")
        await until(lambda: len(fired(valkey_url)) >= 3)
        async with asyncio.timeout(DEADLINE):  # a fire is counted after its job was enqueued
            while (view := await app.scheduler.get("report")).fired < 3:  # noqa: ASYNC110  # Redis has no event for it
                await asyncio.sleep(0.01)
        ids = fired(valkey_url)
        assert len(set(ids)) == len(ids) >= view.fired
        assert view.missed == 0
    await other.aclose()


async def test_a_scheduler_that_stops_hands_the_lead_over_at_once(connection: Connection, valkey_url: str) -> None:
    other = connect(valkey_url)
    async with running(connection):
        await until(lambda: leader(valkey_url) is not None)
        first = leader(valkey_url)
        async with running(other):
            await asyncio.sleep(0.1)
            assert leader(valkey_url) == first
    assert leader(valkey_url) is None
    async with running(other):
        begun = time.monotonic()
        await until(lambda: leader(valkey_url) is not None)
        assert time.monotonic() - begun < code_schedules.LEAD / 2
    await other.aclose()


def is_firing() -> bool:
    """Return whether an engine runs in this event loop."""
    return any(task.get_name() == "schedules of code" for task in asyncio.all_tasks())


async def test_a_leader_that_lost_the_lead_stops_firing(app: App, connection: Connection, valkey_url: str) -> None:
    await app.scheduler.every(1, app.handlers["report"])
    async with running(connection):
        await until(is_firing)
        with Redis.from_url(valkey_url) as client:
            client.hset("jobpools:{schedules}:leader", "owner", "another")
        await until(lambda: not is_firing())
    assert leader(valkey_url) == b"another", "it gives up no lead of another"


async def test_each_leader_has_a_higher_fence(connection: Connection) -> None:
    first, _ = await schedule_table.lead(connection, "a", 10)
    assert (await schedule_table.lead(connection, "b", 10))[0] == 0
    assert (await schedule_table.lead(connection, "a", 10))[0] == first, "a renewal keeps it"
    assert (await schedule_table.lead(connection, "b", 0))[0] == 0
    assert (await schedule_table.lead(connection, "b", 10))[0] == 0, "only the leader gives it up"
    await schedule_table.lead(connection, "a", 0)
    assert (await schedule_table.lead(connection, "b", 0.05))[0] == first + 1
    await asyncio.sleep(0.1)
    assert (await schedule_table.lead(connection, "a", 10))[0] == first + 2, "a lead expires"


async def test_a_schedule_with_a_single_time_is_deleted_long_after_it_was_fired(
    app: App, connection: Connection, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_schedules, "KEEP_FINISHED", timedelta(seconds=-60))
    monkeypatch.setattr(code_schedules, "RELOAD_INTERVAL", 0)
    await app.scheduler.at(datetime.now(UTC) + timedelta(seconds=0.5), app.handlers["report"])
    async with running(connection):
        await until(lambda: not client_hash(valkey_url, "table"))
    assert len(fired(valkey_url)) == 1, "it was fired before"
    assert {part: client_hash(valkey_url, part) for part in ("state", "code", "recent")} == {
        "state": {}, "code": {}, "recent": {},
    }  # fmt: skip


def leader(valkey_url: str) -> bytes | None:
    return client_hash(valkey_url, "leader").get(b"owner")


def client_hash(valkey_url: str, part: str) -> dict[bytes, bytes]:
    with Redis.from_url(valkey_url) as client:
        return cast("dict[bytes, bytes]", client.hgetall(f"jobpools:{{schedules}}:{part}"))
