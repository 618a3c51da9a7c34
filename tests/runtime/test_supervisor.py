"""The two processes of `jobpools worker`: signals, exit codes, the death of either, and their descendants."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from jobpools import Client, JobState
from jobpools.runtime import processes
from tests.chaos.handlers import children
from tests.support.waiting import eventually
from tests.support.workers import COMMAND, ROOT, WorkerProcess, running_workers

APP = "tests.chaos.handlers.children:app"
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prctl and /proc")


@pytest.fixture
async def url(valkey_url: str) -> AsyncIterator[str]:
    client = Client(valkey_url)
    before = children.app.use(client)
    yield valkey_url
    await client.aclose()
    if before is not None:
        children.app.use(before)


@pytest.fixture
def a(url: str, tmp_path: Path) -> Iterator[WorkerProcess]:
    with running_workers(tmp_path, url, APP, "a", NOTES=str(tmp_path / "notes"), LEASE="2s", GRACE="20s") as (worker,):
        yield worker


def noted(folder: Path, what: str) -> list[str]:
    """Return what follows this word in each note of the jobs."""
    file = folder / "notes"
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return [words[-1] for words in lines if words[2] == what]


def noting_pid(folder: Path, what: str) -> int | None:
    """Return the id of the process that wrote this note."""
    lines = [line.split() for line in (folder / "notes").read_text().splitlines()]
    return next((int(pid) for _, pid, *words in lines if words == [what]), None)


def are_gone(pids: list[int]) -> bool:
    return all((found := processes.find(pid)) is None or found.state == "Z" for pid in pids)


async def with_children(folder: Path, method: str = "fork") -> list[int]:
    """Return the ids of three children of a job that has ended."""
    job = await children.leaves_some_behind.enqueue(method)
    assert await job.result(timeout=30) == "started"
    pids = [int(pid) for pid in noted(folder, "child")]
    assert len(pids) == 3
    return pids


async def test_the_started_process_is_the_parent_of_the_worker(a: WorkerProcess) -> None:
    worker = a.worker()
    assert processes.find(worker).parent == a.process.pid  # type: ignore[union-attr]
    assert os.getsid(worker) == worker, "its own session: Ctrl-C reaches it once, through its supervisor"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
async def test_a_signal_drains_and_the_exit_code_is_the_workers(a: WorkerProcess, number: signal.Signals) -> None:
    job = await children.neighbour.enqueue(0.5)
    eventually("it runs", lambda: a.metric("jobpools_busy") == 1)
    a.send(number)
    assert a.wait(30) == 0
    assert await job.result(timeout=1) == "done"
    assert a.log_count("all running jobs have ended") == 1


async def test_the_second_signal_hands_back_at_once(a: WorkerProcess) -> None:
    job = await children.neighbour.enqueue(600)
    eventually("it runs", lambda: a.metric("jobpools_busy") == 1)
    a.send(signal.SIGTERM)
    eventually("it drains", lambda: a.log_count("draining;") == 1)
    a.send(signal.SIGTERM)
    assert a.wait(20) == 0
    assert await job.state() is JobState.QUEUED


@pytest.mark.parametrize(
    ("arguments", "code"), [(["nosuch:app"], 1), (["--nosuch"], 2), (["--help"], 0)], ids=["app", "flag", "help"]
)
def test_exit_codes_pass_through(arguments: list[str], code: int) -> None:
    ended = subprocess.run([*COMMAND, *arguments], cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert ended.returncode == code


@LINUX
@pytest.mark.parametrize("method", ["fork", "spawn"])
async def test_a_drain_ends_processes_that_handlers_started(a: WorkerProcess, tmp_path: Path, method: str) -> None:
    """Among them are children that the interpreter joins at its exit, and one that ignores SIGTERM."""
    pids = await with_children(tmp_path, method)
    a.send(signal.SIGTERM)
    assert a.wait(30) == 0
    assert are_gone(pids)


@LINUX
async def test_the_death_of_the_worker_ends_its_descendants_and_its_supervisor(
    a: WorkerProcess, tmp_path: Path
) -> None:
    pids = await with_children(tmp_path)
    os.kill(a.worker(), signal.SIGKILL)
    assert a.wait(30) == -signal.SIGKILL, "the supervisor ends as the worker did"
    assert are_gone(pids)


@LINUX
@pytest.mark.parametrize("blocked", [False, True], ids=["idle", "the GIL held"])
async def test_kill_9_of_the_supervisor_ends_all_processes(a: WorkerProcess, tmp_path: Path, *, blocked: bool) -> None:
    pids = await with_children(tmp_path)
    if blocked:
        await children.holds_the_gil.enqueue(30)
        eventually("it holds the GIL", lambda: noted(tmp_path, "begun") and a.get("/metrics")[0] == 503)
    everything = a.tree()
    worker = a.worker()
    a.process.kill()
    a.process.wait()
    eventually(
        "the kernel stops it", lambda: (found := processes.find(worker)) is None or found.state in "TZX", within=5
    )
    eventually("all are gone", lambda: are_gone([*everything, *pids]), within=20)


@LINUX
async def test_a_daemon_of_a_handler_ends_with_its_worker(a: WorkerProcess, tmp_path: Path) -> None:
    assert await (await children.daemonizes.enqueue()).result(timeout=20) == "0"
    daemon = eventually("the daemon has written its note", lambda: noting_pid(tmp_path, "daemon"))
    found = processes.find(daemon)
    assert found is not None
    assert found.parent == a.process.pid, "the supervisor adopts orphans, to end them"
    assert found.state != "Z"
    a.send(signal.SIGTERM)
    assert a.wait(30) == 0
    assert are_gone([daemon])


@LINUX
async def test_ctrl_z_stops_the_worker_too_and_fg_continues_it(a: WorkerProcess) -> None:
    worker = a.worker()
    a.send(signal.SIGTSTP)
    eventually("both are stopped", lambda: all(processes.find(each).state == "T" for each in (a.process.pid, worker)))  # type: ignore[union-attr]
    a.send(signal.SIGCONT)
    job = await children.neighbour.enqueue(0)
    assert await job.result(timeout=20) == "done"


async def test_an_exit_handler_that_hangs_does_not_keep_the_worker_from_ending(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANGS_AT_EXIT", "1")
    with running_workers(tmp_path, url, APP, "a", NOTES=str(tmp_path / "notes")) as (worker,):
        begun = time.monotonic()
        worker.send(signal.SIGTERM)
        assert worker.wait(40) == 0
        assert time.monotonic() - begun > 5, "it hung until its supervisor killed it"
