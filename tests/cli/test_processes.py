"""The command as a process: waiting for results, Ctrl-C, closed pipes, terminals, and the cost of its imports."""

import functools
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis

from tests.cli.conftest import Ran, Shell, command
from tests.support.servers import running, valkey_binary
from tests.support.waiting import DEADLINE, eventually


@contextmanager
def started(
    folder: Path, url: str, *words: str, env: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        command(*words), cwd=folder, env=os.environ | {"JOBPOOLS_REDIS_URL": url} | dict(env or {}),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def interrupted(process: "subprocess.Popen[str]") -> Ran:
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE)
    return Ran(process.returncode, out, err)


def test_enqueue_prints_the_result_of_a_job(process: Shell, folder: Path, valkey_url: str) -> None:
    with started(folder, valkey_url, "worker", "store:app", "--pool", "default/mail") as worker:
        assert process("enqueue", "store:app", "send", "to=ada", "--wait", "20") == Ran(0, '"1 to ada"\n', "")
        dead = process("enqueue", "store:app", "send", "to=unknown", "--wait", "20")
        assert dead.code == 1
        assert re.fullmatch(
            r"jobpools: job \S+ \(send\) is dead after 1 attempt: \S*ValueError: no such address .*\n", dead.err
        )
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(DEADLINE) == 0


def test_enqueue_fails_if_the_result_does_not_arrive_in_time(process: Shell) -> None:
    late = process("enqueue", "store:app", "send", "to=ada", "--wait", "0.1")
    assert (late.code, late.out) == (1, "")
    assert re.fullmatch(
        r"jobpools: job \S+: had not ended after 100ms: it is queued; wait longer, or cancel it\n", late.err
    )


@pytest.mark.parametrize(
    "words", [("enqueue", "store:app", "send", "to=ada", "--wait", "60"), ("stats", "--over", "60s")]
)
def test_ctrl_c_ends_a_waiting_command_silently(
    words: tuple[str, ...], folder: Path, valkey_url: str, client: Redis
) -> None:
    client.hset("jobpools:{emails}:totals", "enqueued", 0)
    client.config_resetstat()
    with started(folder, valkey_url, *words) as waiting:
        eventually("its first script ran", lambda: "cmdstat_evalsha" in client.info("commandstats"))
        assert interrupted(waiting) == Ran(130, "", "")


def test_a_closed_pipe_ends_the_command_silently(folder: Path, valkey_url: str) -> None:
    """The output is larger than a pipe holds, and its reader has closed it."""
    env = os.environ | {"JOBPOOLS_REDIS_URL": valkey_url}
    subprocess.run([sys.executable, "-c", SEND_MANY], cwd=folder, env=env, check=True)
    for words in ("jobs -o json --limit 2000", "jobs --limit 2000", "jobs --help"):
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "w") as stdout:
            ended = subprocess.run(
                command(*words.split()), cwd=folder, env=env, stdout=stdout, stderr=subprocess.PIPE, check=False
            )
        assert ended.stderr == b""
        assert ended.returncode in (1, 141)


SEND_MANY = """
import asyncio, store
async def go():
    async with store.app:
        await store.app.enqueue_many([store.send.call(to="x" * 200) for _ in range(1000)])
asyncio.run(go())
"""


def test_colors_are_only_for_terminals_without_no_color(folder: Path, valkey_url: str, process: Shell) -> None:
    assert process("enqueue", "any", "--queue", "emails").code == 0
    clean = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    for env, bold in (({}, True), ({"NO_COLOR": "1"}, False)):
        ours, theirs = pty.openpty()
        environment = clean | {"TERM": "xterm", "JOBPOOLS_REDIS_URL": valkey_url} | env
        with os.fdopen(theirs, "w") as terminal:
            subprocess.run(command("queues"), cwd=folder, env=environment, stdout=terminal, check=True)
        shown = os.read(ours, 4096).decode()
        os.close(ours)
        assert "QUEUE" in shown
        assert ("\x1b[1m" in shown) is bold
    assert "\x1b" not in process("queues").out


def test_a_probe_port_in_use_is_reported(process: Shell) -> None:
    with running(valkey_binary()) as other:
        ran = process("worker", "store:app", "--probe-port", str(other.port))
    assert ran.code == 1
    assert ran.err == f"jobpools: --probe-port {other.port}: Address already in use; use another port, or 0 for none\n"


def test_a_wrong_password_is_reported_without_the_password(process: Shell) -> None:
    commands = ("queues", "worker store:app", "enqueue store:app send to=ada", "up pool.yaml", "plan pool.yaml")
    with running(valkey_binary(), password="right") as guarded:  # noqa: S106  # of a server that lives for this test
        for secret, words in [("", "queues"), *((":wrong@", each) for each in commands)]:
            ran = process(*words.split(), "--redis", f"redis://{secret}127.0.0.1:{guarded.port}/0")
            assert ran.code == 1
            assert re.fullmatch(r"jobpools: redis://\S+: .*; check user and password in the URL, and .* ACL\n", ran.err)
            assert "wrong@" not in ran.err


def test_a_worker_waits_for_an_unavailable_redis_and_logs_it_once(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        deaf.settimeout(DEADLINE)
        with started(folder, f"redis://127.0.0.1:{deaf.getsockname()[1]}/0", "worker", "store:app") as worker:
            for _ in range(8):
                deaf.accept()[0].close()
            ended = interrupted(worker)
    assert ended.code == 0
    assert len([line for line in ended.err.splitlines() if "Redis is unreachable" in line]) == 1, ended.err


def test_an_unknown_job_and_a_newer_envelope_stay_with_a_note(
    process: Shell, folder: Path, valkey_url: str, client: Redis
) -> None:
    process("enqueue", "unknown", "--queue", "emails", "--id", "stray")
    process("enqueue", "store:app", "send", "to=ada", "--id", "newer")
    kept = client.hget("jobpools:{emails}:jobs", "newer")
    assert isinstance(kept, bytes)
    newer = kept.replace(b'"v":1', b'"v":99')
    client.hset("jobpools:{emails}:jobs", "newer", newer)
    with started(folder, valkey_url, "worker", "store:app"):
        eventually("Redis shows it", lambda: client.zcard("jobpools:{emails}:scheduled:normal") == 2)
    listed = process("jobs").out
    assert re.search(r"^stray .*the workers of queue emails have no handler 'unknown'$", listed, re.MULTILINE)
    assert re.search(
        r"^newer .*version 99, and this jobpools reads up to 1; upgrade the workers$", listed, re.MULTILINE
    )
    assert client.hget("jobpools:{emails}:jobs", "newer") == newer
    assert re.search(r"^emails +0 +2 +0 +0 ", process("queues").out, re.MULTILINE)


def test_a_key_of_another_type_is_reported(process: Shell, client: Redis) -> None:
    client.set("jobpools:{emails}:ready:normal", "mine")
    ran = process("enqueue", "store:app", "send", "to=ada")
    assert (ran.code, ran.out) == (1, "")
    assert re.fullmatch(
        r"jobpools: .*jobpools:\{emails\}:ready:normal is a string, not a list: something else uses its name.*\n",
        ran.err,
    )
    assert client.keys() == [b"jobpools:{emails}:ready:normal"]


COUNTED = """
import os, time
from jobpools import App, Context, Retry
app = App("counted")

@app.job(queue="emails", retry=Retry(max_attempts=3, initial=0, jitter=0), max_crashes=2)
def work(ctx: Context, how: str) -> None:
    if how == "crash once" and ctx.attempt == 1:
        os.abort()
    if how == "fail":
        raise ValueError("on purpose")
    while how == "run" or (how == "fail once" and ctx.attempt == 2):
        time.sleep(0.05)
    if how == "fail once":
        raise ValueError("on purpose")
"""


def state_and_attempts(jobpools: Shell, job: str) -> tuple[str, int, int]:
    """Return (state, attempts in the listing, attempts when shown)."""
    shown = json.loads(jobpools("jobs", "show", job, "-o", "json").out)
    (listed,) = [row for row in json.loads(jobpools("jobs", "-o", "json").out) if row["id"] == job]
    return (shown["state"], listed["attempts"], shown["attempts_begun"])


def test_only_started_attempts_are_counted(jobpools: Shell, folder: Path, valkey_url: str) -> None:
    """A job that never started has 0 attempts; its first attempt is 1."""
    (folder / "counted.py").write_text(COUNTED)
    given = ("ok", "run", "fail once", "fail")
    jobs = {how: jobpools("enqueue", "counted:app", "work", f"how={how}").out.strip() for how in given}
    assert {state_and_attempts(jobpools, job) for job in jobs.values()} == {("queued", 0, 0)}
    ends = {"ok": ("completed", 1), "run": ("running", 1), "fail once": ("running", 2), "fail": ("dead", 3)}
    with started(folder, valkey_url, "worker", "counted:app"):
        for how, (state, attempts) in ends.items():
            wanted = (state, attempts, attempts)
            eventually(
                f"{how}: {wanted}",
                functools.partial(lambda job, to: state_and_attempts(jobpools, job) == to, jobs[how], wanted),
            )


def test_an_attempt_that_crashed_its_worker_counts(jobpools: Shell, folder: Path, valkey_url: str) -> None:
    (folder / "counted.py").write_text(COUNTED)
    job = jobpools("enqueue", "counted:app", "work", "how=crash once").out.strip()
    worker, env = ("worker", "counted:app"), {"JOBPOOLS_LEASE": "1s"}
    with started(folder, valkey_url, *worker, env=env), started(folder, valkey_url, *worker, env=env):
        eventually("the job ran twice", lambda: state_and_attempts(jobpools, job) == ("completed", 2, 2))


@pytest.mark.parametrize("module", ["jobpools", "jobpools.cli"])
def test_python_m_runs_the_same_command_and_is_named_in_its_usage(module: str, process: Shell, folder: Path) -> None:
    def run(*words: str) -> Ran:
        ended = subprocess.run(
            [sys.executable, "-m", module, *words], cwd=folder, capture_output=True, text=True, check=False
        )
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    assert run("--version") == process("--version")
    assert re.search(r"^Usage: python -m jobpools queues \[OPTIONS\]", run("queues", "--help").out.strip())
    assert re.search(r"^Usage: jobpools queues \[OPTIONS\]", process("queues", "--help").out.strip())
    assert run("queuse") == Ran(
        2, "", "jobpools: queuse: no such command; did you mean queues? (python -m jobpools --help)\n"
    )
    assert run("worker", "nosuch:app").code == 1
    assert run("worker").err == process("worker").err


def test_a_program_that_calls_main_is_not_forked(jobpools: Shell) -> None:
    process = os.getpid()
    ran = jobpools("worker", "nosuch:app")
    if os.getpid() != process:
        os._exit(1)  # a copy of this test run must not continue
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert ran.err.startswith("jobpools: nosuch:app: there is no module nosuch")


LOADED = """
import sys
sys.argv = ["jobpools", *{words!r}]
from jobpools.cli import main
try:
    main()
except SystemExit:
    print(*sorted(sys.modules), file=sys.stderr)
"""


def test_a_command_imports_only_what_it_needs() -> None:
    """Imported modules are checked in place of the start time, which other programs on the machine affect."""
    expensive = {
        "--help": {"redis", "yaml", "rich", "asyncio", "jobpools.store.connection"},
        "queues --redis redis://127.0.0.1:1/0": {"yaml", "rich", "matplotlib", "jobpools.runtime", "jobpools.local"},
        "worker": {"typer", "yaml", "rich", "croniter", "jobpools.local", "jobpools.core.pools.specs"},
    }
    for words, unwanted in expensive.items():
        code = LOADED.format(words=words.split())
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        loaded = set(ended.stderr.split())
        assert "jobpools.cli" in loaded
        assert not unwanted & loaded, words
