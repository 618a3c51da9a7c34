"""When a worker's process dies, only the job that caused it is charged, at once, with the true cause."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jobpools import Client, JobDeadError, JobHandle, JobState
from jobpools.store.connection import Connection, connect
from jobpools.store.job_view import JobView
from jobpools.store.jobs import read_job
from tests.chaos.handlers import deadly
from tests.support.waiting import eventually
from tests.support.workers import WorkerProcess, running_workers

APP = "tests.chaos.handlers.deadly:app"
pytestmark = pytest.mark.chaos

CAUSES = {
    "_exit": "ended by os._exit(3)",
    "abort": "killed by SIGABRT",
    "kill": "killed by SIGKILL",
    "raise_signal": "killed by SIGKILL",
    "segfault": "killed by SIGSEGV",
    "abort in C": "killed by SIGABRT",
}


@pytest.fixture
async def store(valkey_url: str) -> AsyncIterator[Connection]:
    client = Client(valkey_url)
    before = deadly.app.use(client)
    connection = connect(valkey_url)
    yield connection
    await connection.aclose()
    await client.aclose()
    if before is not None:
        deadly.app.use(before)


def begun(folder: Path, job: JobHandle[str] | JobHandle[None]) -> int:
    file = folder / "notes"
    return sum(line.startswith(f"{job.id} ") for line in file.read_text().splitlines()) if file.exists() else 0


async def view(store: Connection, job: JobHandle[str] | JobHandle[None]) -> JobView:
    found = await read_job(store, "deadly", job.id)
    assert found is not None
    return found


@pytest.mark.parametrize("way", CAUSES)
@pytest.mark.parametrize("in_thread", [False, True], ids=["loop", "thread"])
async def test_only_the_job_that_killed_its_worker_is_charged(
    valkey_url: str, store: Connection, tmp_path: Path, way: str, *, in_thread: bool
) -> None:
    environment = {"NOTES": str(tmp_path / "notes"), "CONCURRENCY": "8"}
    with running_workers(tmp_path, valkey_url, APP, "a", **environment) as (a,):
        neighbours: list[JobHandle[str]] = []
        for each in (deadly.neighbour, deadly.neighbour_in_a_thread):
            neighbours += [await each.enqueue(60) for _ in range(3)]
        eventually("the neighbours run", lambda: all(begun(tmp_path, job) for job in neighbours))
        killer = await (deadly.deadly_in_a_thread if in_thread else deadly.deadly).enqueue(way)
        assert a.wait(30) in (3, -signal.SIGABRT, -signal.SIGKILL, -signal.SIGSEGV)
        assert a.log_count("charged with a crash: deadly") == 1
        assert a.log_count(f"{killer.id} (crash 1, runs again); handed back: 6") == 1
        assert a.log_count(f" {killer.id}") == 1, "one line of the log"
    found = await view(store, killer)
    (crash,) = found.history.entries
    assert (found.history.crashes, found.history.attempts) == (1, 0)
    assert CAUSES[way] in crash.message
    if way in ("segfault", "abort in C"):
        assert "deadly.py" in crash.traceback
    for job in neighbours:
        back = await view(store, job)
        assert (back.state, back.history.crashes, back.history.attempts) == (JobState.QUEUED, 0, 0)


async def test_a_job_that_always_crashes_its_worker_becomes_dead_with_the_cause(
    valkey_url: str, store: Connection, tmp_path: Path
) -> None:
    job = await deadly.deadly.enqueue("segfault")
    for name in ("a", "b"):
        worker = WorkerProcess(tmp_path, name, valkey_url, APP, NOTES=str(tmp_path / "notes"))
        assert worker.wait() == -signal.SIGSEGV
    assert worker.log_count(f"{job.id} (crash 2, dead)") == 1
    with pytest.raises(JobDeadError):
        await job.result(timeout=5)
    assert (await view(store, job)).history.crashes == 2


@pytest.mark.parametrize("in_thread", [False, True], ids=["loop", "thread"])
async def test_a_handler_may_hold_the_gil_for_longer_than_the_lease(
    valkey_url: str, store: Connection, tmp_path: Path, *, in_thread: bool
) -> None:
    """Meanwhile another worker checks for expired leases, and /livez is probed."""
    environment = {"NOTES": str(tmp_path / "notes"), "CONCURRENCY": "4", "LEASE": "5s"}
    with running_workers(tmp_path, valkey_url, APP, "a", **environment) as (a,):
        neighbours = [await deadly.neighbour.enqueue(20) for _ in range(2)]
        eventually("the neighbours run", lambda: all(begun(tmp_path, job) for job in neighbours))
        holder = await (deadly.holds_the_gil_in_a_thread if in_thread else deadly.holds_the_gil).enqueue(15)
        eventually("it holds the GIL", lambda: begun(tmp_path, holder) == 1)
        with running_workers(tmp_path, valkey_url, APP, "b", **environment) as (b,):
            until = time.monotonic() + 14
            while time.monotonic() < until:
                assert a.get("/livez") == (200, "ok\n")
                await asyncio.sleep(0.5)
            assert await holder.result(timeout=30) == "held"
            for job in neighbours:
                assert await job.result(timeout=60) == "done"
                assert begun(tmp_path, job) == 1
            assert begun(tmp_path, holder) == 1
            assert b.metric("jobpools_rescued_total") == 0
            assert a.log_count("its supervisor renews its leases") == 1
            eventually("the log reports progress", lambda: a.log_count("it makes progress again") == 1)
    for job in (holder, *neighbours):
        assert (await view(store, job)).history.crashes == 0


async def test_a_worker_that_is_stopped_without_its_supervisor_keeps_its_leases(
    valkey_url: str, store: Connection, tmp_path: Path
) -> None:
    environment = {"NOTES": str(tmp_path / "notes"), "LEASE": "5s"}
    with running_workers(tmp_path, valkey_url, APP, "a", **environment) as (a,):
        job = await deadly.neighbour.enqueue(1)
        eventually("it runs", lambda: begun(tmp_path, job) == 1)
        with running_workers(tmp_path, valkey_url, APP, "b", **environment):  # it checks for expired leases
            os.kill(a.worker(), signal.SIGSTOP)
            await asyncio.sleep(12)  # more than two leases
            os.kill(a.worker(), signal.SIGCONT)
        assert await job.result(timeout=20) == "done"
        assert begun(tmp_path, job) == 1
    assert (await view(store, job)).history.crashes == 0
