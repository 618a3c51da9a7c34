"""Servers that stop and start again: calls fail meanwhile and succeed afterwards without reconnecting."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from jobpools.errors import StoreUnavailableError
from jobpools.store import ledger
from jobpools.store.connection import connect
from jobpools.store.sync_connection import connect_sync
from tests.store.conftest import sending
from tests.support.sending import enqueue_jobs, enqueue_jobs_sync
from tests.support.servers import Server, running, running_cluster, running_sentinel, valkey_binary
from tests.support.waiting import DEADLINE

Make = Callable[[ExitStack, Path], tuple[str, list[Server]]]


def alone(stack: ExitStack, folder: Path) -> tuple[str, list[Server]]:
    server = stack.enter_context(running(valkey_binary(), folder))
    return server.url, [server]


def cluster(stack: ExitStack, folder: Path) -> tuple[str, list[Server]]:
    servers = stack.enter_context(running_cluster(folder, flags=["--appendonly", "yes", "--appendfsync", "always"]))
    return f"redis+cluster://127.0.0.1:{servers[0].port}", servers


def sentinel(stack: ExitStack, folder: Path) -> tuple[str, list[Server]]:
    master = stack.enter_context(running(valkey_binary(), folder))
    asked = stack.enter_context(running_sentinel(folder, master))
    return f"redis+sentinel://127.0.0.1:{asked.port}/0?master=mymaster", [master]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


@pytest.mark.chaos
@pytest.mark.parametrize("make", [alone, cluster, sentinel])
async def test_connections_recover_when_an_endpoint_comes_back(make: Make, stack: ExitStack, tmp_path: Path) -> None:
    url, servers = make(stack, tmp_path)
    connection, sync = connect(url), connect_sync(url)
    jobs = [sending(f"job{number}", queue=f"queue{number % 5}") for number in range(10)]
    assert await enqueue_jobs(connection, jobs) == [True] * 10
    await asyncio.to_thread(enqueue_jobs_sync, sync, jobs)
    for server in servers:
        server.kill()
    with pytest.raises(StoreUnavailableError):
        await enqueue_jobs(connection, jobs)
    with pytest.raises(StoreUnavailableError):
        await asyncio.to_thread(enqueue_jobs_sync, sync, jobs)
    for server in servers:
        server.start()
    until = time.monotonic() + DEADLINE
    while True:
        try:
            accepted = await enqueue_jobs(connection, jobs)
            assert await asyncio.to_thread(enqueue_jobs_sync, sync, jobs) == [False] * 10
            break
        except StoreUnavailableError:
            assert time.monotonic() < until, "the server is back, but cannot be reached"
            await asyncio.sleep(0.05)
    # The append-only file is synced each second: the jobs accepted last may be lost.
    totals = (await ledger.read(connection, [f"queue{number}" for number in range(5)])).values()
    assert sum(each.ready for each in totals) == 10
    assert all(each.lost == 0 for each in totals)
    assert len(accepted) == 10
    await connection.aclose()
    sync.close()
