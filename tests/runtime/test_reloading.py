"""A running worker reads its settings again: by a command, and when those of its pool change."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from jobpools import App, JobState
from jobpools.core.configuration.resolution import Resolution
from jobpools.core.pools.worker_states import CommandKind, ReloadAnswer, WorkerCommand
from jobpools.runtime import heartbeat
from jobpools.runtime.consumer import MAX_IDLE_WAIT
from jobpools.runtime.worker import Worker
from jobpools.settings import WorkerSettings
from jobpools.settings_reader import Inputs, read
from jobpools.store.connection import Connection
from jobpools.store.endpoint_facts import read_workers
from jobpools.store.pool_settings import write_settings
from jobpools.store.worker_commands import give_command, read_answer
from tests.runtime.conftest import running
from tests.support.waiting import until

POOL = "shop/mail"
RELOAD = WorkerCommand(CommandKind.RELOAD, "ada")
BEFORE = 'concurrency = 2\nqueues = ["emails", "old"]\n'
UNEXPECTED = "# reading this raises an unexpected error"
AFTER = """
concurrency = 4
queues = ["emails", {name = "reports", weight = 3}]
lease = "20s"
log_interval = "5m"
log_level = "warning"
job.retry.max_attempts = 1
queue.keep_dead = 7
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("INTERVAL", "CHANGED_INTERVAL", "CHECK_INTERVAL"):
        monkeypatch.setattr(heartbeat, name, 0.02)
    return tmp_path


@contextlib.asynccontextmanager
async def working(app: App, folder: Path) -> AsyncIterator[Worker]:
    """Run a worker that reads the settings of a folder."""
    options = {"redis_url": app.client.url, "pool": POOL, "worker": "host", "grace": 5.0}

    def read_again(variables: Mapping[str, str]) -> Resolution[WorkerSettings]:
        if (file := folder / "jobpools.toml").exists() and file.read_text() == UNEXPECTED:
            raise LookupError("no such reader")
        return read(Inputs(options, environ=variables, folder=folder))

    worker = Worker(app, read_again({}).settings, read_again)
    async with running(worker):
        yield worker


async def reloaded(store: Connection, worker: Worker, file: Path, text: str) -> ReloadAnswer:
    file.write_text(text)  # noqa: ASYNC240  # a few bytes
    async with asyncio.timeout(10):
        while not (given := await give_command(store, POOL, worker.id, RELOAD)):  # noqa: ASYNC110  # a command has no event
            await asyncio.sleep(0.01)
        while (answer := await read_answer(store, POOL, worker.id, given)) is None:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.01)
    return answer


async def test_a_reload_changes_what_can_change_and_names_what_cannot(
    app: App, store: Connection, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gate = asyncio.Event()

    @app.job(queue="emails")
    async def wait() -> None:
        await gate.wait()

    @app.job(queue="emails")
    async def fail() -> None:
        raise ValueError("no such address")

    file = folder / "jobpools.toml"
    file.write_text(BEFORE)
    await wait.options(queue="old", delay=5).enqueue()
    async with working(app, folder) as worker:
        slots = worker.parts.slots
        for _ in range(3):
            await wait.enqueue()
        await until(lambda: len(slots.running) == 2)
        answer = await reloaded(store, worker, file, AFTER)
        assert answer == ReloadAnswer(
            (
                "queues emails,old → emails,reports=3", "concurrency 2 → 4", "job.retry.max_attempts 3 → 1",
                "queue.keep_dead 10000 → 7", "log_level info → warning", "log_interval 60s → 5m",
            ),
            ("lease 10s → 20s",),
        )  # fmt: skip
        assert caplog.text.count("told to reload by ada; reloaded: queues") == 1
        await until(lambda: len(slots.running) == 3)
        report = await wait.options(queue="reports").enqueue()
        await until(lambda: len(slots.running) == 4)
        assert (await reloaded(store, worker, file, AFTER)).changed == (), "a restart is still needed, nothing else"
        refused = await reloaded(store, worker, file, "concurrency = 0")
        assert refused.problem.startswith("jobpools.toml:1: concurrency")
        unexpected = await reloaded(store, worker, file, UNEXPECTED)
        assert unexpected.problem == "an unexpected error: LookupError: no such reader"
        answer = await reloaded(store, worker, file, 'concurrency = 1\nqueues = ["emails"]\njob.retry.max_attempts = 1')
        assert answer.changed[:2] == ("queues emails,reports=3 → emails", "concurrency 4 → 1")
        waiting = await wait.options(queue="reports").enqueue()
        old = await wait.options(queue="old").enqueue()
        failing = await fail.enqueue()
        assert len(slots.running) == 4, "they finish"
        gate.set()
        await until(lambda: worker.metrics.failed == 1)
        await until(lambda: not slots.held)
        states = [await each.state() for each in (report, failing, waiting, old)]
        assert states == [JobState.COMPLETED, JobState.DEAD, JobState.QUEUED, JobState.QUEUED]
        assert worker.metrics.completed == 4
        leaving = {each.queue: each.next_step_in() for each in worker.parts.consumers if each.is_leaving}
        assert leaving == {"old": MAX_IDLE_WAIT, "reports": MAX_IDLE_WAIT}, (
            "a job of theirs that falls due wakes no dispatcher"
        )


async def test_a_worker_follows_the_settings_of_its_pool_from_its_start(
    app: App, store: Connection, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    @app.job(queue="emails")
    async def noop() -> None: ...

    async def follows(worker: Worker, version: str, **variables: Any) -> int:
        await write_settings(store, POOL, version, {f"JOBPOOLS_{name}": value for name, value in variables.items()})
        async with asyncio.timeout(10):
            while [each.settings for each in await read_workers(store, POOL, ["emails"])] != [version]:  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.01)
        return worker.parts.slots.size

    await write_settings(store, POOL, "v1", {"JOBPOOLS_CONCURRENCY": "7"})
    async with working(app, folder) as worker:
        await until(lambda: worker.parts.slots.size == 7)
        assert await follows(worker, "v2", CONCURRENCY="9", QUEUES='["emails"]') == 9
        assert await follows(worker, "v3", CONCURRENCY="none") == 9, "invalid settings change nothing"
        handle = await noop.enqueue()
        await handle.result(timeout=10)
    lines = [line for line in caplog.text.splitlines() if "the settings of its pool have changed" in line]
    assert ["concurrency 5 → 7" in lines[0], "concurrency 7 → 9" in lines[1]] == [True, True]
    assert "not reloaded, and nothing has changed: JOBPOOLS_CONCURRENCY" in lines[2]
    assert len(lines) == 3
