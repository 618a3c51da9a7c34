"""`jobpools worker` as a process: how it starts, refuses to start, and ends."""

import re
import signal
import subprocess
from pathlib import Path

import pytest

from jobpools import App, JobState
from tests.runtime import jobs
from tests.support.servers import Server, running, valkey_binary
from tests.support.waiting import eventually
from tests.support.workers import COMMAND, ROOT, WorkerProcess, running_workers

APP = "tests.runtime.jobs:app"


def refused(*arguments: str) -> str:
    """Run a worker that must not start; return the one line that it prints."""
    ended = subprocess.run([*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1, ended.stderr
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr.removesuffix("\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nosuch:app"], "jobpools: nosuch:app: there is no module nosuch"),
        (["nosuch"], "jobpools: 'nosuch' does not name an app; write module:name"),
        (["tests.runtime.jobs:nosuch"], "jobpools: tests.runtime.jobs:nosuch: module tests.runtime.jobs has no"),
        (["tests.runtime.jobs:EMPTY"], "jobpools: tests.runtime.jobs:EMPTY is a str, not an App"),
        (["tests.runtime.jobs:jobless"], "jobpools: app jobless: it has no jobs; decorate a function with @app.job"),
        ([APP, "--redis", "http://127.0.0.1"], "jobpools: http://127.0.0.1: not a Redis URL; use redis://host:6379/0"),
        ([APP, "--redis", "redis://127.0.0.1:port/0"], "jobpools: redis://127.0.0.1:port/0: "),
        ([APP, "--concurrency", "0"], "jobpools: "),
        ([APP, "--queues", "no queue"], "jobpools: "),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)  # fmt: skip
def test_a_worker_that_cannot_start_prints_one_line_and_exits_with_1(arguments: list[str], line: str) -> None:
    assert refused(*arguments).startswith(line)


def test_a_wrong_password_is_reported_in_one_line_without_the_password() -> None:
    with running(valkey_binary(), password="right") as server:  # noqa: S106  # of a server that lives for this test
        said = refused(APP, "--redis", server.url.replace("right", "wrong-secret"))
        assert "refuses the user or password (invalid username-password pair or user is disabled)" in said
        assert "; check user and password in the URL" in said
        assert "secret" not in said
        assert "check user and password" in refused(APP, "--redis", f"redis://127.0.0.1:{server.port}/0")


def test_a_worker_waits_for_an_unreachable_redis_and_logs_it_once(tmp_path: Path) -> None:
    server = Server(valkey_binary())
    worker = WorkerProcess(tmp_path, "early", server.url, APP)
    try:
        eventually("the outage is logged", lambda: worker.log_count("Redis is unreachable") == 1)
        eventually("it is not ready", lambda: worker.get("/readyz")[0] == 503)
        server.start()
        eventually("it finds Redis", lambda: worker.log_count("Redis is back") == 1)
        eventually("it is ready", lambda: worker.get("/readyz")[0] == 200)
        assert worker.log_count("Redis is unreachable") == 1
        worker.send(signal.SIGTERM)
        assert worker.wait() == 0
    finally:
        worker.kill()
        server.kill()


async def test_sigterm_lets_running_jobs_finish(valkey_url: str, tmp_path: Path) -> None:
    async with App("sender", redis=valkey_url) as sender:
        with running_workers(tmp_path, valkey_url, APP, "a") as (a,):
            job = await sender.enqueue("nap", {"seconds": 0.5}, queue="default")
            eventually("it runs", lambda: "busy{" in a.get("/metrics")[1] and a.metric("jobpools_busy") == 1)
            a.send(signal.SIGTERM)
            eventually(
                "the drain is logged", lambda: a.log_count("handed back: 0; running jobs: 1, which get 30s") == 1
            )
            assert a.get("/readyz") == (503, "stopping\n")
            assert a.wait() == 0
            assert a.log_count("all running jobs have ended") == 1
            assert a.log_count("stopped; 1 completed, 0 failed") == 1
        assert await job.result() == "slept"


async def test_a_second_sigterm_hands_back_at_once(valkey_url: str, tmp_path: Path) -> None:
    async with App("sender", redis=valkey_url) as sender:
        with running_workers(tmp_path, valkey_url, APP, "a") as (a,):
            job = await sender.enqueue("nap", {"seconds": 60}, queue="default")
            eventually("it runs", lambda: a.metric("jobpools_busy") == 1)
            a.send(signal.SIGTERM)
            eventually("the drain is logged", lambda: a.log_count("draining;") == 1)
            a.send(signal.SIGTERM)
            assert a.wait(20) == 0
        assert await job.state() is JobState.QUEUED


async def test_a_coroutine_that_ignores_its_cancellation_does_not_keep_the_worker_from_stopping(
    valkey_url: str, tmp_path: Path
) -> None:
    async with App("sender", redis=valkey_url) as sender:
        with running_workers(tmp_path, valkey_url, APP, "a", GRACE="0.1s") as (a,):
            job = await sender.enqueue("ignore_cancellation", queue="default")
            eventually("it runs", lambda: a.metric("jobpools_busy") == 1)
            a.send(signal.SIGTERM)
            assert a.wait(30) == 0
            assert a.log_count("code of 1 jobs still runs; the worker ends without waiting for it") == 1
        assert await job.state() is JobState.QUEUED


async def test_a_worker_with_too_many_threads_left_behind_stops_with_exit_code_1(
    valkey_url: str, tmp_path: Path
) -> None:
    async with App("sender", redis=valkey_url) as sender:
        with running_workers(tmp_path, valkey_url, APP, "a", CONCURRENCY="1", GRACE="0.1s") as (a,):
            for _ in range(2):
                await sender.enqueue("hang", queue="default", timeout=0.1)
            assert a.wait(30) == 1, "the exit code of a failure, after which Kubernetes starts another worker"
            assert a.log_count("2 threads still run though their jobs timed out") == 1


async def test_a_service_that_does_not_open_ends_the_worker_with_one_line(valkey_url: str, tmp_path: Path) -> None:
    worker = WorkerProcess(tmp_path, "a", valkey_url, "tests.runtime.jobs:unopened")
    assert worker.wait() == 1
    says = (
        r"jobpools: service database does not open: ConnectionRefusedError: no database today \(.*/jobs\.py:\d+\); .*\n"
    )
    assert re.fullmatch(says, worker.log()), worker.log()


def test_the_app_of_these_tests_has_the_expected_jobs() -> None:
    assert set(jobs.app.handlers) == {"nap", "ignore_cancellation", "hang"}
