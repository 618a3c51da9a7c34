"""Commands to workers: a heartbeat returns the command to its worker, and none remains when its worker is gone."""

from dataclasses import replace

import pytest
from redis import Redis

from jobpools.core.pools.worker_states import CommandKind, ReloadAnswer, ReportedState, WorkerCommand
from jobpools.store import keys
from jobpools.store.connection import Connection
from jobpools.store.endpoint_facts import read_endpoint
from jobpools.store.heartbeats import HeartbeatReply, remove_worker, write_heartbeat
from jobpools.store.pool_settings import read_settings, write_settings
from jobpools.store.worker_commands import answer_reload, give_command, parse_command, read_answer, remove_command
from tests.store.attempts import AT, NOW
from tests.store.conftest import QUEUE
from tests.store.test_heartbeats import POOL, report

PAUSE = WorkerCommand(CommandKind.PAUSE, "ada", "its memory grows")


async def test_a_heartbeat_returns_the_command_to_its_worker_until_it_is_removed(store: Connection) -> None:
    assert await write_heartbeat(store, report("a.1"), NOW) == HeartbeatReply()
    await write_heartbeat(store, report("b.1"), NOW)
    assert await give_command(store, POOL, "a.1", PAUSE, NOW)
    assert (await write_heartbeat(store, report("a.1"), NOW)).command == replace(PAUSE, since=AT)
    assert await write_heartbeat(store, report("b.1"), NOW) == HeartbeatReply()
    assert await remove_command(store, POOL, "a.1")
    assert await write_heartbeat(store, report("a.1"), NOW) == HeartbeatReply()


async def test_a_paused_worker_receives_a_reload_and_stays_paused(store: Connection, raw: Redis) -> None:
    await write_heartbeat(store, report("a.1"), NOW)
    reload = WorkerCommand(CommandKind.RELOAD, "ada")
    await give_command(store, POOL, "a.1", PAUSE, NOW)
    given = await give_command(store, POOL, "a.1", reload, NOW + 5)
    await write_settings(store, POOL, "v7", {"JOBPOOLS_CONCURRENCY": "8"})
    reply = await write_heartbeat(store, report("a.1"), NOW + 6)
    assert reply == HeartbeatReply(replace(PAUSE, since=AT), replace(reload, since=AT + 0.005), "v7")
    assert await read_settings(store, POOL) == ("v7", {"JOBPOOLS_CONCURRENCY": "8"})
    assert await read_answer(store, POOL, "a.1", given) is None
    answer = ReloadAnswer(("concurrency 5 → 8",), ("lease 10s → 20s",))
    await answer_reload(store, POOL, "a.1", AT + 0.005, answer)
    assert await read_answer(store, POOL, "a.1", given) == answer
    assert await read_answer(store, POOL, "a.1", given + 1) is None, "of an earlier reload"
    await remove_worker(store, POOL, "a.1", [QUEUE])
    assert raw.exists(keys.commands(POOL)) == 0


async def test_a_report_holds_the_state_and_the_command_that_the_worker_follows(store: Connection) -> None:
    paused = report("a.1", seen=AT, state=ReportedState.PAUSED, command=replace(PAUSE, since=AT - 3))
    await write_heartbeat(store, paused, NOW)
    assert (await read_endpoint(store, {POOL: [QUEUE]}, NOW)).heartbeats[POOL] == (paused,)


async def test_the_command_of_a_worker_is_removed_with_it(store: Connection, raw: Redis) -> None:
    await write_heartbeat(store, report("a.1"), NOW)
    await give_command(store, POOL, "a.1", PAUSE, NOW)
    await remove_worker(store, POOL, "a.1", [QUEUE])
    assert not await give_command(store, POOL, "a.1", PAUSE, NOW), "a worker that is not listed takes no command"
    assert raw.exists(keys.commands(POOL)) == 0


async def test_a_command_of_a_killed_worker_is_removed_with_its_heartbeat(store: Connection, raw: Redis) -> None:
    for worker, silent in (("killed.1", 86_500_000), ("b.1", 0)):
        await write_heartbeat(store, report(worker), NOW - silent)
        await give_command(store, POOL, worker, PAUSE, NOW)
    for later in range(1, 101):
        await write_heartbeat(store, report("b.1"), NOW + later)
    assert raw.hkeys(keys.commands(POOL)) == [b"b.1"]
    assert raw.pttl(keys.commands(POOL)) > 86_000_000


@pytest.mark.parametrize("value", [b"", b"pause", b"12 {", b'12 {"command":"dance"}', b'12 {"command":["pause"]}'])
def test_a_command_that_this_version_does_not_know_is_ignored(value: bytes) -> None:
    assert parse_command(value) is None
