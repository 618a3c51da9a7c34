"""`jobpools workers`: pause, reload, resume and stop a real worker process, and what a user sees of it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from jobpools.cli import worker_queries
from tests.cli.conftest import Shell
from tests.cli.test_processes import started
from tests.support.waiting import DEADLINE, eventually

POOL = "default/mail"
SEND = ("enqueue", "store:app", "send", "to=ada")
SILENT = "has reported in the last 30 seconds"
Rows = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def listed(jobpools: Shell) -> Rows:
    """Read the rows of `jobpools workers`."""
    return lambda: list(json.loads(jobpools("workers", "--output", "json").out))


@pytest.fixture
def worker(folder: Path, valkey_url: str, listed: Rows) -> Iterator[Any]:
    """A worker process of the pool default/mail."""
    with started(folder, valkey_url, "worker", "store:app", "--pool", POOL) as process:
        eventually("the worker runs", lambda: [row["state"] for row in listed()] == ["running"])
        yield process


def test_a_worker_process_is_paused_reloaded_resumed_and_stopped(
    jobpools: Shell, folder: Path, listed: Rows, worker: Any, client: Redis
) -> None:
    name = listed()[0]["worker"]
    ran = jobpools("workers", "pause", name, "--by", "ada", "--reason", "its memory grows")
    assert (ran.code, ran.out) == (0, f"1 worker told to pause ({name}); it takes effect within 3s\n")
    eventually("the worker is paused", lambda: listed()[0]["state"] == "paused")
    assert jobpools("workers").out.splitlines()[1].endswith("by ada: its memory grows")
    shown = json.loads(jobpools("workers", "show", name, "-o", "json").out)
    assert (shown["state"], shown["command"]["command"], shown["command"]["by"]) == ("paused", "pause", "ada")
    (folder / "jobpools.toml").write_text('concurrency = 7\nlease = "20s"\n')
    ran = jobpools("workers", "reload", name)
    assert (ran.code, ran.out.split()[-9:]) == (0, ["concurrency", "5", "→", "7", "lease", "10s", "→", "20s", "-"])
    eventually("it has more slots", lambda: listed()[0]["slots"] == 7)
    assert listed()[0]["state"] == "paused"
    assert jobpools(*SEND).code == 0
    assert jobpools(*SEND, "--wait", "0.5").code != 0
    resumed = json.loads(jobpools("workers", "resume", "--pool", POOL, "-o", "json").out)
    assert resumed == {"command": "resume", "workers": [name]}
    assert jobpools(*SEND, "--wait", "20").out == '"1 to ada"\n'
    assert jobpools("workers", "stop", listed()[0]["id"]).out.startswith("1 worker told to stop")
    assert worker.wait(DEADLINE) == 0
    assert listed() == []
    assert client.exists(f"jobpools:{{pool:{POOL}}}:workers", f"jobpools:{{pool:{POOL}}}:commands") == 0


def test_a_worker_that_does_not_answer_a_reload_is_an_error(
    jobpools: Shell, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_queries, "ANSWER_TIMEOUT", 0.1)
    now = client.time()[0]
    report = json.dumps({"slots": 5, "busy": 0, "started": now - 90, "idle_since": now})
    client.hset("jobpools:{pool:default/mail}:workers", "mail-1.aa", f"{now * 1000} {report}")
    ran = jobpools("workers", "reload", "mail-1", "--by", "ada", "--output", "json")
    (row,) = json.loads(ran.out)
    assert (ran.code, row["worker"], row["problem"]) == (1, "mail-1", "no answer within 0s; look at its log")
    command = client.hget("jobpools:{pool:default/mail}:commands", "mail-1.aa:reload")
    assert b'"by":"ada"' in command  # type: ignore[operator]  # bytes: the client decodes nothing


def test_a_busy_worker_is_shown_with_its_rates_and_its_jobs(jobpools: Shell, client: Redis) -> None:
    now = client.time()[0]
    values = {
        "slots": 5, "busy": 1, "started": now - 90, "idle_since": None, "completed": 7, "failed": 1, "state": "paused",
        "completed_per_minute": 4.7, "failed_per_minute": 0.7,
        "command": {"command": "pause", "by": "ada", "reason": "memory"},
    }  # fmt: skip
    client.hset("jobpools:{pool:default/mail}:workers", "mail-1.aa", f"{now * 1000} {json.dumps(values)}")
    attempts = [
        ["job-1", "0000000007", "emails", "send", 2, (now - 80) * 1000],
        ["job-2", "08", "emails", "send", 1, 0],
    ]
    client.hset("jobpools:{pool:default/mail}:running", "mail-1.aa", f"{now * 1000} {json.dumps([3, attempts])}")
    client.zadd("jobpools:{emails}:leases", {"job-1:mail-1.aa:0000000007": (now + 9) * 1000})
    (shown,) = json.loads(jobpools("workers", "--output", "json").out)
    assert (shown["processed"], shown["completed/min"], shown["failed/min"]) == (8, 4.7, 0.7)
    assert 80 <= shown["longest"] < 90
    shown = json.loads(jobpools("workers", "show", "mail-1", "-o", "json").out)
    (job,) = shown["jobs"]
    assert (job["id"], job["name"], job["attempt"], shown["jobs_not_listed"]) == ("job-1", "send", 2, 3)
    assert 80 <= job["elapsed"] < 90
    (pool,) = json.loads(jobpools("pools", "--output", "json").out)
    assert (pool["paused"], pool["paused_workers"]) == (1, ["mail-1 by ada: memory"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("pause",), "workers pause: no worker named; add NAME or --pool NAMESPACE/NAME"),
        (
            ("stop", "--pool", "default/mial"),
            f"workers stop: no worker of pool default/mial {SILENT}; did you mean default/mail?",
        ),
        (
            ("resume", "mail-1", "mail-3"),
            "workers resume: mail-3: no such worker has reported in the last 30 seconds; did you mean mail-1?",
        ),
        (("show", "x"), "workers show: x: no such worker has reported in the last 30 seconds; known: mail-1"),
        (("puase", "x"), "puase: no such command; did you mean pause? (jobpools workers --help)"),
    ],
)  # fmt: skip
def test_a_wrong_command_is_refused_in_one_line_and_changes_nothing(
    jobpools: Shell, client: Redis, words: tuple[str, ...], says: str
) -> None:
    now = client.time()[0]
    report = json.dumps({"slots": 5, "busy": 0, "started": now - 90, "idle_since": now})
    client.hset("jobpools:{pool:default/mail}:workers", "mail-1.aa", f"{now * 1000} {report}")
    ran = jobpools("workers", *words)
    assert (ran.code != 0, ran.err) == (True, f"jobpools: {says}\n")
    assert client.exists("jobpools:{pool:default/mail}:commands") == 0
