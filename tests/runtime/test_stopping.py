"""Signals at every stage of a worker: no job is lost or charged, and the exit code is 0."""

import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobpools import App, JobHandle, JobState
from jobpools.store.connection import Connection
from jobpools.store.jobs import read_job
from tests.support.servers import Server, valkey_binary
from tests.support.waiting import eventually
from tests.support.workers import WorkerProcess

APP = "tests.runtime.stops:app"
QUEUE = "default"
DRAINS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


@contextmanager
def started(folder: Path, url: str, **environment: str) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(folder, "a", url, APP, **environment)
    try:
        yield worker
    finally:
        worker.kill()


async def check_uncharged(store: Connection, jobs: Sequence[JobHandle[object]], state: JobState) -> None:
    for job in jobs:
        view = await read_job(store, QUEUE, job.id)
        assert view is not None
        assert (view.state, view.history.attempts, view.history.crashes, view.history.entries) == (state, 0, 0, ())


def wait_for_line(worker: WorkerProcess, what: str) -> None:
    eventually(
        f"it logs {what}", lambda: worker.log_count(what) > 0 or worker.process.poll() is not None, detail=worker.log
    )
    assert worker.log_count(what), worker.log()


@pytest.mark.parametrize("number", DRAINS, ids=lambda number: number.name)
async def test_one_signal_drains_coroutines_and_threads(
    app: App, store: Connection, valkey_url: str, tmp_path: Path, number: signal.Signals
) -> None:
    running = [await app.enqueue(name, {"seconds": 1.5}, queue=QUEUE) for name in ("nap", "doze")]
    with started(tmp_path, valkey_url, CONCURRENCY="2") as worker:
        wait_for_line(worker, "nap begins")
        wait_for_line(worker, "doze begins")
        later = [await app.enqueue("nap", {"seconds": 60}, queue=QUEUE)]
        worker.send(number)
        wait_for_line(worker, f"{number.name} received")
        assert worker.wait() == 0
        assert worker.log_count("stopped; 2 completed, 0 failed") == 1
    assert [await job.result() for job in running] == ["slept", "dozed"]
    await check_uncharged(store, running, JobState.COMPLETED)
    await check_uncharged(store, later, JobState.QUEUED)


@pytest.mark.parametrize(
    "numbers",
    [
        (signal.SIGTERM, signal.SIGTERM),
        (signal.SIGHUP, signal.SIGINT),
        (signal.SIGINT, signal.SIGHUP),
        (signal.SIGQUIT,),
    ],
    ids=lambda numbers: "-".join(number.name for number in numbers),
)
async def test_a_second_signal_or_sigquit_hands_back_at_once_uncharged(
    app: App, store: Connection, valkey_url: str, tmp_path: Path, numbers: Sequence[signal.Signals]
) -> None:
    running = [await app.enqueue(name, {"seconds": 60}, queue=QUEUE) for name in ("nap", "doze")]
    with started(tmp_path, valkey_url, CONCURRENCY="2") as worker:
        wait_for_line(worker, "nap begins")
        wait_for_line(worker, "doze begins")
        for count, number in enumerate(numbers):
            worker.send(number)
            wait_for_line(
                worker,
                "handed back: 0; running jobs: 2" if not count else "the worker stops; running jobs are handed back",
            )
        assert worker.wait(20) == 0, worker.log()
    await check_uncharged(store, running, JobState.QUEUED)


async def test_further_signals_have_no_effect(app: App, store: Connection, valkey_url: str, tmp_path: Path) -> None:
    running = [await app.enqueue(name, {"seconds": 60}, queue=QUEUE) for name in ("nap", "doze")]
    with started(tmp_path, valkey_url, CONCURRENCY="2") as worker:
        wait_for_line(worker, "nap begins")
        wait_for_line(worker, "doze begins")

        def ended() -> bool:
            for number in (*DRAINS, signal.SIGQUIT):
                worker.send(number)
            return worker.process.poll() is not None

        eventually("it ends", ended)
        assert worker.wait() == 0, worker.log()
        # Signals that are pending together are handled by number: SIGQUIT may be the first, and hands back at once.
        assert len(re.findall(r"SIG\w+ received", worker.log())) in {1, 2}
        assert worker.log_count("the worker stops; running jobs are handed back") == 1
    await check_uncharged(store, running, JobState.QUEUED)


@pytest.mark.parametrize("number", DRAINS, ids=lambda number: number.name)
@pytest.mark.parametrize("how", ["ignore", "default", "handler", "loop", "removed from loop"])
async def test_a_job_cannot_replace_the_workers_signal_handlers(
    app: App, valkey_url: str, tmp_path: Path, how: str, number: signal.Signals
) -> None:
    running = [await app.enqueue("nap", {"seconds": 3}, queue=QUEUE)]
    with started(tmp_path, valkey_url, CONCURRENCY="2") as worker:
        wait_for_line(worker, "nap begins")
        assert (
            await (
                await app.enqueue("replace_signal_handler", {"number": int(number), "how": how}, queue=QUEUE)
            ).result()
            == "replaced"
        )
        wait_for_line(worker, f"a job replaced the signal handler of {number.name}")
        worker.send(number)
        wait_for_line(worker, f"{number.name} received")
        assert worker.wait(20) == 0, worker.log()
    assert await running[0].result() == "slept"


@pytest.mark.parametrize("number", DRAINS, ids=lambda number: number.name)
@pytest.mark.parametrize(
    ("phase", "where"),
    [
        ("import", "importing"),
        ("import that swallows", "importing"),
        ("async service", "opening"),
        ("plain service", "opening"),
    ],
)
async def test_a_worker_stopped_before_it_started_claims_no_job(  # noqa: PLR0913, PLR0917  # fixtures
    app: App, store: Connection, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str,
    where: str, number: signal.Signals,
) -> None:  # fmt: skip
    monkeypatch.setenv("PHASE", phase)
    job = await app.enqueue("nap", {"seconds": 60}, queue=QUEUE)
    with started(tmp_path, valkey_url) as worker:
        wait_for_line(worker, where)
        worker.send(number)
        assert worker.wait(20) == 0, worker.log()
        expected = f"stopped by {number.name} while" if where == "importing" else f"{number.name} received"
        assert worker.log_count(expected) == 1, worker.log()
        assert "Traceback" not in worker.log()
        assert worker.log_count("nap begins") == 0
    await check_uncharged(store, [job], JobState.QUEUED)


@pytest.mark.parametrize("number", [*DRAINS, signal.SIGQUIT], ids=lambda number: number.name)
def test_a_worker_stops_while_it_waits_for_redis(tmp_path: Path, number: signal.Signals) -> None:
    with started(tmp_path, Server(valkey_binary()).url) as worker:
        wait_for_line(worker, "Redis is unreachable")
        worker.send(number)
        assert worker.wait(20) == 0, worker.log()
        assert "Traceback" not in worker.log()


@pytest.mark.parametrize(("phase", "where"), [("closing", "closing"), ("exit", "leaving")])
async def test_a_signal_after_the_drain_changes_no_exit_code(  # noqa: PLR0913, PLR0917  # fixtures
    app: App,
    store: Connection,
    valkey_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    phase: str,
    where: str,
) -> None:
    """Without this, a second SIGTERM would kill a drained worker: a loop that closes restores the default action."""
    monkeypatch.setenv("PHASE", phase)
    job = await app.enqueue("nap", {"seconds": 0}, queue=QUEUE)
    with started(tmp_path, valkey_url) as worker:
        worker.wait_ready()
        await job.result(timeout=30)
        worker.send(signal.SIGTERM)
        wait_for_line(worker, where)
        for number in (*DRAINS, signal.SIGQUIT):
            worker.send(number)
        assert worker.wait(20) == 0, worker.log()
    await check_uncharged(store, [job], JobState.COMPLETED)


async def test_a_worker_under_nohup_ignores_sighup(app: App, valkey_url: str, tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a child inherits it, as from nohup
    try:
        with started(tmp_path, valkey_url) as worker:
            worker.wait_ready().send(signal.SIGHUP)
            job = await app.enqueue("nap", {"seconds": 0}, queue=QUEUE)
            assert await job.result(timeout=30) == "slept"
            worker.send(signal.SIGTERM)
            assert worker.wait() == 0
            assert worker.log_count("SIGHUP") == 0
    finally:
        signal.signal(signal.SIGHUP, before)
