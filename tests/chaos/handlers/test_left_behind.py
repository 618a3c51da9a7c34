"""A function that outlives its attempt is logged, counted, and never runs beside the next attempt of its job."""

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jobpools import Client, JobHandle, JobState
from jobpools.handlers import Handler
from tests.chaos.handlers import lingering
from tests.support.waiting import eventually
from tests.support.workers import WorkerProcess, running_workers

APP = "tests.chaos.handlers.lingering:app"
pytestmark = pytest.mark.chaos
KINDS = {"plain": lingering.plain, "to_thread": lingering.to_thread, "in_executor": lingering.in_executor,
         "ignores cancellation": lingering.ignore_cancellation}  # fmt: skip


@pytest.fixture
async def url(valkey_url: str) -> AsyncIterator[str]:
    client = Client(valkey_url)
    before = lingering.app.use(client)
    yield valkey_url
    await client.aclose()
    if before is not None:
        lingering.app.use(before)


def environment(folder: Path) -> dict[str, str]:
    return {"NOTES": str(folder / "notes"), "GO_ON": str(folder / "go on")}


def notes(folder: Path, job: JobHandle[Any]) -> list[tuple[str, str, str]]:
    """(what, attempt, process) of each note of this job, in their order."""
    file = folder / "notes"
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return [(what, attempt, process) for job_id, what, attempt, process, _ in lines if job_id == job.id]


def listed(url: str, *more: str) -> str:
    command = [sys.executable, "-m", "jobpools", "workers", "--redis", url, *more]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def left_behind(worker: WorkerProcess) -> float:
    return worker.metric("jobpools_threads_left_behind")


@pytest.mark.parametrize("kind", KINDS)
async def test_the_next_attempt_waits_until_the_code_of_the_one_before_has_ended(
    url: str, tmp_path: Path, kind: str
) -> None:
    with running_workers(tmp_path, url, APP, "a", **environment(tmp_path)) as (worker,):
        job = await KINDS[kind].enqueue()
        eventually("it timed out", lambda: worker.log_count("ran longer than 500ms") > 0, detail=worker.log)
        assert worker.log_count("its code still runs in this worker, because Python cannot stop it") == 1
        eventually("it is counted", lambda: left_behind(worker) == 1)
        eventually("the heartbeat has it", lambda: json.loads(listed(url, "-o", "json"))[0]["left_behind"] == 1)
        assert "left_behind: 1" in listed(url, "-o", "yaml")
        handed_back = worker.metric("jobpools_claimed_total")
        eventually("it was claimed again", lambda: worker.metric("jobpools_claimed_total") > handed_back + 1)
        assert [what for what, *_ in notes(tmp_path, job)] == ["begun"]
        assert await (await lingering.quick.enqueue()).result(timeout=30) == "quick"
        (tmp_path / "go on").touch()
        assert await job.result(timeout=60) == "attempt 2"
        assert [note[:2] for note in notes(tmp_path, job)] == [
            ("begun", "1"), ("ended", "1"), ("begun", "2"), ("ended", "2"),
        ]  # fmt: skip
        eventually("none is left", lambda: left_behind(worker) == 0)
        assert worker.metric("jobpools_jobs_total") >= 3


async def test_another_worker_runs_the_next_attempt_meanwhile(url: str, tmp_path: Path) -> None:
    with running_workers(tmp_path, url, APP, "a", **environment(tmp_path)) as (first,):
        job = await lingering.plain.enqueue()
        eventually("it timed out", lambda: first.log_count("ran longer than 500ms") > 0, detail=first.log)
        with running_workers(tmp_path, url, APP, "b", **environment(tmp_path)) as (second,):
            assert await job.result(timeout=60) == "attempt 2"
            pids = {attempt: process for _, attempt, process in notes(tmp_path, job)}
            assert len(set(pids.values())) == 2
            assert (first.log_count("ran longer"), second.log_count("ran longer")) == (1, 0)
        (tmp_path / "go on").touch()


@pytest.mark.parametrize("kind", [lingering.forever, lingering.forever_in_a_thread])
async def test_a_cancelled_job_whose_code_still_runs_does_not_keep_the_worker_from_stopping(
    url: str, tmp_path: Path, kind: Handler[..., None]
) -> None:
    with running_workers(tmp_path, url, APP, "a", LEASE="2s", **environment(tmp_path)) as (worker,):
        job = await kind.enqueue()
        eventually("it runs", lambda: notes(tmp_path, job))
        await job.cancel()
        eventually("it is cancelled", lambda: worker.log_count(f"{job.id}: Cancelled") == 1, detail=worker.log)
        assert await job.state() is JobState.CANCELLED
        assert worker.log_count(f"{job.id}: its code still runs in this worker") == 1
        assert left_behind(worker) == 1
        worker.send(signal.SIGTERM)
        assert worker.wait(30) == 0, worker.log()
