"""Bulk commands change each job that existed when they began exactly once, while workers and producers continue."""

import json
import os
import pty
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from redis import Redis

from tests.cli.conftest import Shell, command
from tests.support.waiting import eventually
from tests.support.workers import running_workers

DEAD = "jobpools:{emails}:dead"
APP = """
from jobpools import App, Retry

app = App("store")

@app.job(queue="emails", retry=Retry(strategy="none"))
async def send(to: str) -> None:
    raise ValueError("no such address")
"""


def make_dead(client: Redis, count: int, queue: str = "emails", died: int = 1_790_000_000_000) -> list[str]:
    """Create dead jobs that died one after the other, and return their ids."""
    ids = [f"job-{number:06}" for number in range(count)]
    envelope = {"v": 1, "id": "{id}", "name": "send", "queue": queue, "args": {"to": "x"}, "enqueued": 1.0}
    before, after = json.dumps(envelope).split("{id}")
    for start in range(0, count, 5000):
        part = ids[start : start + 5000]
        client.hset(f"jobpools:{{{queue}}}:jobs", mapping={job_id: f"{before}{job_id}{after}" for job_id in part})
        deaths = {job_id: died + number for number, job_id in enumerate(part, start)}
        client.zadd(f"jobpools:{{{queue}}}:dead", deaths)
    client.hset(f"jobpools:{{{queue}}}:totals", mapping={"enqueued": count, "dead": count})
    return ids


@pytest.fixture
def queued(client: Redis) -> list[str]:
    """Jobs in a queue that no worker serves."""
    ids = [f"job-{number:06}" for number in range(2500)]
    with client.pipeline(transaction=False) as pipe:
        for job_id in ids:
            envelope = {"v": 1, "id": job_id, "name": "send", "queue": "emails", "args": {"to": "x"}, "enqueued": 1.0}
            pipe.hset("jobpools:{emails}:jobs", job_id, json.dumps(envelope))
            pipe.rpush("jobpools:{emails}:ready:normal", job_id)
        pipe.hset("jobpools:{emails}:totals", "enqueued", len(ids))
        pipe.execute()
    return ids


def test_replay_ends_while_the_replayed_jobs_die_again(
    process: Shell, client: Redis, folder: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "failing.py").write_text(APP)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    ids = make_dead(client, 1500)
    with running_workers(folder, valkey_url, "failing:app", "worker-1", CONCURRENCY="50"):
        ran = process("dead", "replay", "--queue", "emails", "--all")
        assert (ran.code, ran.out, ran.err) == (0, "1500 jobs replayed\n", "")
        eventually("all are dead again", lambda: client.zcard(DEAD) == len(ids))
        assert client.hget("jobpools:{emails}:totals", "failed") == b"1500", "each ran once more"


def test_purge_leaves_jobs_that_die_meanwhile(process: Shell, client: Redis) -> None:
    make_dead(client, 20_000)
    stop = threading.Event()

    def kill_more() -> None:
        number = 0
        while not stop.is_set():
            client.zadd(DEAD, {f"later-{number}": 1_795_000_000_000 + number})
            number += 1

    thread = threading.Thread(target=kill_more)
    thread.start()
    try:
        ran = process("dead", "purge", "--queue", "emails", "--all", "--output", "json")
    finally:
        stop.set()
        thread.join()
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    # Jobs that died before the command began count as well; no later one was changed.
    assert found["purged"] == found["found"] >= 20_000
    left = set(client.zrange(DEAD, 0, -1))
    assert left
    assert all(bytes(job_id).startswith(b"later-") for job_id in left)  # type: ignore[arg-type]


def test_a_limit_selects_the_earliest_jobs(jobpools: Shell, client: Redis) -> None:
    ids = make_dead(client, 10)
    assert jobpools("dead", "replay", "-q", "emails", "--all", "--limit", "3").out == "3 jobs replayed\n"
    assert client.lrange("jobpools:{emails}:ready:normal", 0, -1) == [each.encode() for each in ids[:3]]
    assert json.loads(jobpools("dead", "purge", "-q", "emails", "--all", "--limit", "2", "-o", "json").out) == {
        "queue": "emails", "found": 2, "purged": 2,
    }  # fmt: skip
    assert client.zrange(DEAD, 0, -1) == [each.encode() for each in ids[5:]]


def test_a_repeated_id_is_replayed_once(jobpools: Shell, client: Redis) -> None:
    (job_id,) = make_dead(client, 1)
    assert jobpools("dead", "replay", job_id, job_id).out == "1 job replayed\n"
    assert client.llen("jobpools:{emails}:ready:normal") == 1


def test_jobs_that_died_in_the_future_are_replayed(jobpools: Shell, client: Redis) -> None:
    make_dead(client, 5, died=4_000_000_000_000)
    assert jobpools("dead", "replay", "-q", "emails", "--all").out == "5 jobs replayed\n"


def test_cancel_all_while_a_worker_claims_and_a_producer_enqueues(
    process: Shell, client: Redis, queued: list[str]
) -> None:
    stop = threading.Event()

    def claim_and_enqueue() -> None:  # pops from the head and pushes to the end, as workers and producers do
        number = 0
        while not stop.is_set():
            client.lpop("jobpools:{emails}:ready:normal")
            client.rpush("jobpools:{emails}:ready:normal", f"later-{number}")
            number += 1

    for number in range(2500):  # `later` jobs are known, so that a cancel would find them
        client.hset("jobpools:{emails}:jobs", f"later-{number}", "{}")
    thread = threading.Thread(target=claim_and_enqueue)
    thread.start()
    try:
        ran = process("jobs", "cancel", "-q", "emails", "--all", "-o", "json")
    finally:
        stop.set()
        thread.join()
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["found"] <= len(queued) + 2500
    left = set(client.lrange("jobpools:{emails}:ready:normal", 0, -1))
    assert not left & {each.encode() for each in queued}, "all jobs that were queued at the start are cancelled"


def test_cancel_selects_jobs_by_state_and_by_id(jobpools: Shell, client: Redis, queued: list[str]) -> None:
    later = jobpools("enqueue", "send", "to=x", "--queue", "emails", "--delay", "1h").out.strip()
    assert jobpools("jobs", "cancel", "-q", "emails", "--all", "--state", "scheduled").out == "1 job cancelled\n"
    assert "cancelled" in jobpools("jobs", "show", later).out
    assert jobpools("jobs", "cancel", *queued[:3]).out == "3 jobs cancelled\n"
    assert jobpools("jobs", "cancel", "-q", "emails", "--all", "--limit", "7").out == "7 jobs cancelled\n"
    assert client.llen("jobpools:{emails}:ready:normal") == len(queued) - 10
    assert jobpools("jobs", "cancel", "-q", "emails", "--all", "-o", "json").out == (
        '{\n  "queue": "emails",\n  "found": 2490,\n  "cancelled": 2490,\n  "running": 0\n}\n'
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["jobs", "cancel"],
            "jobs cancel: no jobs are selected; give ids, a condition such as --name NAME, or --queue NAME --all",
        ),
        (["jobs", "cancel", "--all"], "--all: no queue given; add --queue NAME"),
        (
            ["jobs", "cancel", "--all", "-q", "emails", "-s", "dead"],
            "state: a dead job cannot be cancelled; use queued,",
        ),
        (["dead", "replay", "--all"], "--all: no queue given; add --queue NAME"),
        (["dead", "purge", "--all", "-q", "emials"], "did you mean emails?"),
    ],
)
def test_an_incomplete_selection_of_jobs_is_refused(
    jobpools: Shell, client: Redis, words: list[str], message: str
) -> None:
    make_dead(client, 1)
    ran = jobpools(*words)
    assert ran.code == 1
    assert message in ran.err
    assert client.zcard(DEAD) == 1


def test_a_hundred_thousand_jobs_are_replayed_in_short_calls(process: Shell, client: Redis) -> None:
    make_dead(client, 100_000)
    client.config_resetstat()
    begun = time.monotonic()
    assert process("dead", "replay", "-q", "emails", "--all").out == "100000 jobs replayed\n"
    assert time.monotonic() - begun < 30, "one read per job takes minutes"
    stats = client.info("commandstats")

    assert stats["cmdstat_evalsha"]["calls"] >= 400, "250 jobs per call: about a millisecond of server time"
    assert stats["cmdstat_hmget"]["calls"] <= 900, "two reads per call"


def run_on_a_terminal(url: str, words: list[str], typed: bytes = b"") -> tuple[int, str]:
    """Run a command whose stdin and stderr are a terminal; return (exit code, the terminal's text)."""
    master, slave = pty.openpty()
    environment = os.environ | {"JOBPOOLS_REDIS_URL": url, "TERM": "xterm", "COLUMNS": "100"}
    child = subprocess.Popen(command(*words), stdin=slave, stderr=slave, stdout=subprocess.DEVNULL, env=environment)
    os.close(slave)
    os.write(master, typed)
    shown = b""
    try:
        while piece := os.read(master, 65536):
            shown += piece
    except OSError:  # the other end was closed
        pass
    os.close(master)
    return child.wait(60), shown.decode(errors="replace")


def test_a_terminal_shows_a_progress_bar_and_a_confirmation_before_a_purge(
    folder: Path, client: Redis, valkey_url: str
) -> None:
    del folder
    make_dead(client, 3000)
    code, shown = run_on_a_terminal(valkey_url, ["dead", "purge", "-q", "emails", "--all"], b"n\n")
    assert code == 1
    assert "Purge 3000 jobs of queue emails for good?" in shown
    assert "jobpools: not confirmed; nothing was changed" in shown
    assert client.zcard(DEAD) == 3000
    code, shown = run_on_a_terminal(valkey_url, ["dead", "replay", "-q", "emails", "--all", "--limit", "1000"])
    assert code == 0
    assert re.search(r"replayed .*/1000", shown), shown
    code, shown = run_on_a_terminal(valkey_url, ["dead", "purge", "-q", "emails", "--all"], b"y\n")
    assert code == 0
    assert client.zcard(DEAD) == 0
    make_dead(client, 10)
    assert run_on_a_terminal(valkey_url, ["dead", "purge", "-q", "emails", "--all", "--yes"])[0] == 0
    assert client.zcard(DEAD) == 0


def test_ctrl_c_prints_the_progress(folder: Path, client: Redis, valkey_url: str) -> None:
    make_dead(client, 200_000)
    child = subprocess.Popen(
        command("dead", "replay", "-q", "emails", "--all"), cwd=folder, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"JOBPOOLS_REDIS_URL": valkey_url},
    )  # fmt: skip
    eventually("the command has begun", lambda: client.llen("jobpools:{emails}:ready:normal") > 500)
    child.send_signal(signal.SIGINT)
    _, stderr = child.communicate(timeout=60)
    assert child.returncode == 130
    found = re.fullmatch(
        r"jobpools: interrupted: (\d+) of 200000 jobs replayed before that; run the command again for the rest\n",
        stderr,
    )
    assert found, stderr
    assert 0 <= client.llen("jobpools:{emails}:ready:normal") - int(found[1]) <= 250, (
        "at most the jobs of one unfinished call"
    )
