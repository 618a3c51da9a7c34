"""Redis refuses, hangs, cuts or is slow while a worker runs: one outage in the log, no job lost, recovery by itself."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from jobpools import App, StoreAuthError, StoreError, StoreUnavailableError
from jobpools.core.objects import Meta
from jobpools.core.pools.specs import Pool, PoolSpec
from tests.chaos import jobs
from tests.chaos.conftest import APP, QUEUE, Scenario
from tests.support.proxy import Faults, Proxy, running_proxy
from tests.support.queues import operator_queues
from tests.support.refusals import Refuse, busy, few_replicas, full, no_right, replica
from tests.support.waiting import eventually
from tests.support.workers import WorkerProcess, running_workers

pytestmark = pytest.mark.chaos

REPLIES = {
    "a read-only replica": b"READONLY You can't write against a read only replica.",
    "loading": b"LOADING Redis is loading the dataset in memory",
    "busy": b"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "too many clients": b"ERR max number of clients reached",
    "out of memory": b"OOM command not allowed when used memory > 'maxmemory'.",
    "disk full": b"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "too few replicas": b"NOREPLICAS Not enough good replicas to write.",
    "cluster down": b"CLUSTERDOWN The cluster is down",
    "primary down": b"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "password changed": b"NOAUTH Authentication required.",
    "right taken away": b"NOPERM User default has no permissions to run the 'evalsha' command",
}
FAULTS: dict[str, Faults] = {
    **{name: Faults(reply=reply, passes=(b"PING", b"CLIENT")) for name, reply in REPLIES.items()},
    "never answers": Faults(hangs=True),
    "cuts its replies": Faults(cuts_reply=True),
    "resets connections": Faults(resets=True),
    "slower than its clients wait": Faults(seconds=12.0),
}
LEASE = "2s"


@pytest.fixture
def proxy(scenario: Scenario) -> Iterator[Proxy]:
    with running_proxy(scenario.server.port) as proxy:
        yield proxy


def lines(worker: WorkerProcess) -> list[str]:
    return [line for line in worker.log().splitlines() if re.search("Redis is (unreachable|back)", line)]


@pytest.mark.parametrize("name", FAULTS)
async def test_a_worker_survives_every_kind_of_outage(scenario: Scenario, proxy: Proxy, name: str) -> None:
    settings = {"LEASE": LEASE, "CONCURRENCY": "4"}
    with running_workers(scenario.folder, proxy.url, APP, "a", **scenario.environment, **settings) as (worker,):
        sent = await jobs.app.enqueue_many([jobs.work.call(0.05) for _ in range(60)])
        sent += [
            await jobs.work.options(max_crashes=1).enqueue(0.5),
            await jobs.grind.options(max_crashes=1).enqueue(0.5),
        ]
        eventually("the jobs run", lambda: len(scenario.notes("begun")) > 10)
        proxy.faults = FAULTS[name]
        eventually("the outage is logged", lambda: worker.log_count("Redis is unreachable") > 0)
        begun = time.monotonic()
        eventually("it is not ready", lambda: worker.get("/readyz")[0] == 503)
        await asyncio.sleep(3)  # the outage must last longer than the lease
        assert worker.get("/livez")[0] == 200
        assert worker.get("/readyz")[0] == 503
        tries = len([at for at, _ in proxy.traffic.commands if at > begun])
        assert tries < 60, "the delays between its tries grow"
        proxy.faults = Faults()
        totals = await scenario.ended(40)
        eventually("the end of the outage is logged", lambda: worker.log_count("Redis is back") > 0)
        eventually("it is ready", lambda: worker.get("/readyz")[0] == 200)
        assert (totals.completed, totals.dead, totals.lost) == (len(sent), 0, 0)
        logged = lines(worker)
        assert len(logged) == 2, logged
        assert "Redis is unreachable: " in logged[0]
        assert re.search(r"Redis is back after \d", logged[1])
        assert "Traceback" not in worker.log()
        assert worker.process.poll() is None
    await scenario.balanced(sent, completed=len(sent))


async def test_an_outage_lasts_while_reads_work_and_writes_fail(scenario: Scenario, proxy: Proxy) -> None:
    with running_workers(scenario.folder, proxy.url, APP, "a", **scenario.environment, LEASE=LEASE) as (worker,):
        proxy.faults = FAULTS["a read-only replica"]
        eventually("the outage is logged", lambda: worker.log_count("Redis is unreachable") > 0)
        begun = time.monotonic()
        await asyncio.sleep(4)  # the outage must last some time
        assert len(lines(worker)) == 1
        assert len([at for at, _ in proxy.traffic.commands if at > begun]) < 60
        proxy.faults = Faults()
        eventually("the end of the outage is logged", lambda: worker.log_count("Redis is back") == 1)
        job = await jobs.work.enqueue(0)
        await scenario.ended(20)
        assert len(lines(worker)) == 2
    await scenario.balanced([job], completed=1)


async def test_many_connection_resets_are_one_outage(scenario: Scenario, proxy: Proxy) -> None:
    with running_workers(scenario.folder, proxy.url, APP, "a", **scenario.environment, LEASE=LEASE) as (worker,):
        sent = await jobs.app.enqueue_many([jobs.work.call(0.02) for _ in range(100)])
        eventually("the jobs run", lambda: len(scenario.notes("begun")) > 5)
        until = time.monotonic() + 4
        while time.monotonic() < until:
            proxy.faults = Faults(resets=True)
            await asyncio.sleep(0.1)
            proxy.faults = Faults(resets_every_other=True)
            await asyncio.sleep(0.1)
        proxy.faults = Faults()
        await scenario.ended(40)
        eventually("the end of the outage is logged", lambda: worker.log_count("Redis is back") == 1)
        assert len(lines(worker)) == 2, worker.log()
    await scenario.balanced(sent, completed=len(sent))


async def test_a_slow_redis_is_no_outage(scenario: Scenario, proxy: Proxy) -> None:
    with running_workers(scenario.folder, proxy.url, APP, "a", **scenario.environment, LEASE="10s") as (worker,):
        proxy.faults = Faults(seconds=0.3)
        sent = await jobs.app.enqueue_many([jobs.work.call(0.02) for _ in range(30)])
        await scenario.ended(40)
        assert lines(worker) == []
    await scenario.balanced(sent, completed=len(sent))


@pytest.fixture
async def sender(proxy: Proxy) -> AsyncIterator[App]:
    app = App("chaos", queue=QUEUE, redis=proxy.url)
    yield app
    await app.aclose()


@pytest.mark.parametrize("name", FAULTS)
async def test_a_producer_gets_an_error_in_time_and_can_enqueue_the_same_id_again(
    scenario: Scenario, proxy: Proxy, sender: App, name: str
) -> None:
    @sender.job
    async def work(seconds: float) -> None: ...

    await work.options(id="before").enqueue(0)
    proxy.faults = FAULTS[name]
    kind: type[StoreError] = (
        StoreAuthError if name in ("password changed", "right taken away") else StoreUnavailableError
    )
    for send in (
        work.options(id="order-1").enqueue(0),
        asyncio.to_thread(work.options(id="order-1").enqueue_sync, 0),
    ):
        begun = time.monotonic()
        with pytest.raises(kind) as raised:
            await send
        assert time.monotonic() < begun + 12, "within the timeout of a command"
        assert "\n" not in str(raised.value)
        assert f":{proxy.port}" in str(raised.value), "the message names the server"
    proxy.faults = Faults()
    await work.options(id="order-1").enqueue(0)
    await asyncio.to_thread(work.options(id="order-1").enqueue_sync, 0)
    assert (await scenario.totals()).enqueued == 2


@pytest.mark.parametrize("refuse", [replica, no_right])
async def test_the_control_loop_declares_no_worker_dead_during_an_outage_of_writes(
    scenario: Scenario, refuse: Refuse
) -> None:
    """Leases expire because they cannot be renewed, while a replica answers every read."""
    pool = Pool(meta=Meta(name="shop"), spec=PoolSpec.model_validate({"app": APP, "queues": [QUEUE]}))
    queues = operator_queues(scenario.connection)
    with running_workers(scenario.folder, scenario.server.url, APP, "a", **scenario.environment, LEASE="1s"):
        job = await jobs.work.options(max_crashes=1).enqueue(5.0)
        eventually("it runs", lambda: len(scenario.notes("begun")) == 1)
        with refuse(scenario.server):
            until = time.monotonic() + 2.5
            while time.monotonic() < until:
                with contextlib.suppress(StoreError):
                    await queues.observe([pool])
                with contextlib.suppress(StoreError):
                    await queues.maintain(pool)
                await asyncio.sleep(0.1)
        await queues.observe([pool])
        assert await queues.maintain(pool) == 0
        totals = await scenario.ended(30)
        assert (totals.completed, totals.failed) == (1, 0)
    await scenario.balanced([job], completed=1)


@pytest.mark.parametrize("refuse", [replica, few_replicas, busy, no_right])
async def test_a_worker_survives_a_server_that_refuses_commands(scenario: Scenario, refuse: Refuse) -> None:
    with running_workers(scenario.folder, scenario.server.url, APP, "a", **scenario.environment, LEASE=LEASE) as (
        worker,
    ):
        sent = await jobs.app.enqueue_many([jobs.work.call(0.05) for _ in range(60)])
        sent += [await jobs.work.options(max_crashes=1).enqueue(0.5)]
        eventually("the jobs run", lambda: len(scenario.notes("begun")) > 10)
        manager = refuse(scenario.server)
        await asyncio.to_thread(manager.__enter__)
        eventually("the outage is logged", lambda: worker.log_count("Redis is unreachable") == 1)
        await asyncio.sleep(3)  # the outage must last longer than the lease
        assert (worker.get("/livez")[0], worker.get("/readyz")[0]) == (200, 503)
        await asyncio.to_thread(manager.__exit__, None, None, None)
        totals = await scenario.ended(40)
        eventually("the end of the outage is logged", lambda: worker.log_count("Redis is back") == 1)
        assert (totals.dead, len(lines(worker))) == (0, 2)
    await scenario.balanced(sent, completed=len(sent))


async def test_a_server_without_memory_still_runs_the_accepted_jobs(scenario: Scenario) -> None:
    with running_workers(scenario.folder, scenario.server.url, APP, "a", **scenario.environment, LEASE="1s") as (
        worker,
    ):
        sent = await jobs.app.enqueue_many([jobs.work.call(0.05) for _ in range(60)])
        sent += [await jobs.work.options(max_crashes=1).enqueue(3.0)]
        eventually("the jobs run", lambda: len(scenario.notes("begun")) > 10)
        with full(scenario.server):
            with pytest.raises(StoreUnavailableError, match="out of memory"):
                await jobs.work.enqueue(0)
            totals = await scenario.ended(40)
            assert (totals.completed, totals.failed) == (len(sent), 0)
            assert (worker.get("/readyz")[0], lines(worker)) == (200, [])
    await scenario.balanced(sent, completed=len(sent))
