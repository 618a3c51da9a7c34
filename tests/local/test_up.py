"""`jobpools up` from its first line to its last, with real processes and a real Valkey."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from tests.local.up_process import UpProcess
from tests.support.servers import running, valkey_binary
from tests.support.waiting import eventually

Up = Callable[..., UpProcess]
ENQUEUE = "python pair.py"


def test_until_idle_ends_when_all_jobs_are_done_and_pools_are_scaled_to_zero(up: Up, folder: Path) -> None:
    run = up("--until-idle", "--plot", "run.png", "--with", f"{ENQUEUE} quick 60 1")
    assert run.wait() == 0
    assert re.fullmatch(r"done: 60 completed, 0 retried, 0 dead, 0 lost; peak 2 workers; \d+\.\d s", run.lines[-1]), (
        run.text
    )
    assert run.find("quick: 0 workers, 2 desired; 0 busy, 60 queued")
    assert run.find(r"^\d\d:\d\d:\d\d  pair\.py \| sent 60$")
    assert (folder / "run.png").read_bytes().startswith(b"\x89PNG")


def test_the_summary_counts_failures_and_crashes(up: Up) -> None:
    run = up("--until-idle", "--with", f"sh -c '{ENQUEUE} fails 2 1; {ENQUEUE} crashes 1 1'")
    assert run.wait() == 0
    # Each of the two jobs fails three times; the third job kills two workers, its `max_crashes`.
    assert re.match(r"done: 0 completed, 5 retried, 3 dead, 0 lost; ", run.lines[-1]), run.text
    assert run.count("died: signal SIGKILL") == 2
    assert run.find(r"^\d\d:\d\d:\d\d  quick-\w+-\d+ \| Traceback ")
    # Each line has exactly one time, at its start.
    assert run.find(r"^\d\d:\d\d:\d\d  quick-\w+-\d+ \| WARNING  fails \S+: Retried: attempt 1 of 3 failed ")
    assert not [line for line in run.lines[:-1] if len(re.findall(r"\b\d\d:\d\d:\d\d\b", line)) != 1], run.text


def test_a_failed_companion_command_makes_the_run_fail(up: Up) -> None:
    run = up("--until-idle", "--with", "sh -c 'echo half way; exit 3'")
    assert run.wait() == 1
    assert run.find(r"  sh \| half way$")
    assert run.count("sh failed: exit code 3") == 1


def test_a_companion_command_that_does_not_exist_makes_the_run_fail(up: Up) -> None:
    run = up("--until-idle", "--with", "nonesuch")
    assert run.wait() == 1
    assert run.find("nonesuch cannot be started: No such file or directory")


def test_until_idle_waits_for_the_companion_command(up: Up) -> None:
    run = up("--until-idle", "--with", "sh -c 'read line < go; echo gone'")
    os.mkfifo(run.folder / "go")
    run.wait_for_line("pools: quick, slow")
    assert run.process.poll() is None
    (run.folder / "go").write_text("now\n")
    assert run.wait() == 0
    assert run.find(r"  sh \| gone$")


def test_ctrl_c_drains_the_workers(up: Up) -> None:
    run = up("--with", f"sh -c '{ENQUEUE} slow 2 1; sleep 60'")
    run.wait_for_running_jobs(2)
    run.press_ctrl_c()
    assert run.wait(20) == 0
    assert run.find("stopping: workers finish their running jobs")
    assert run.lines[-1].startswith("stopped: 2 completed, 0 retried, 0 dead, 0 lost, 0 unfinished; ")


def test_a_second_ctrl_c_hands_back_running_jobs(up: Up, valkey_url: str) -> None:
    run = up("--until-idle", "--redis", valkey_url, "--with", f"{ENQUEUE} slow 3 60")
    pids = run.wait_for_running_jobs(3)
    run.press_ctrl_c()
    run.wait_for_line("stopping")
    run.press_ctrl_c()
    assert run.wait(15) == 130  # interrupted before all jobs were done
    assert run.lines[-1].startswith("stopped: 0 completed, 0 retried, 0 dead, 0 lost, 3 unfinished; ")
    with Redis.from_url(valkey_url) as client:
        assert client.ping()  # a server that the run did not start is not stopped
    for pid in set(pids):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_killed_worker_is_replaced_and_its_job_runs_again(up: Up) -> None:
    run = up("--until-idle", "--with", f"{ENQUEUE} slow 1 1")
    (pid,) = run.wait_for_running_jobs(1)
    os.kill(pid, signal.SIGKILL)
    assert run.wait() == 0
    assert run.find(r"worker slow-\w+-1 died: signal SIGKILL; its replacement starts in 500ms")
    assert run.lines[-1].startswith("done: 1 completed, 1 retried, 0 dead, 0 lost; ")


def test_the_embedded_valkey_is_restarted_with_its_jobs(up: Up) -> None:
    run = up("--until-idle", "--with", f"{ENQUEUE} slow 4 1")
    url = run.wait_for_line(r"embedded Valkey at (\S+)")[1]
    run.wait_for_running_jobs(4)
    with Redis.from_url(url) as client:
        os.kill(client.info("server")["process_id"], signal.SIGKILL)
    run.wait_for_line(r"embedded Valkey died \(signal 9\); restarting it with its data")
    assert run.wait(60) == 0
    assert re.match(r"done: 4 completed, \d+ retried, 0 dead, 0 lost; ", run.lines[-1]), run.text


def test_valkey_and_workers_end_with_a_killed_run(up: Up) -> None:
    run = up("--with", f"{ENQUEUE} slow 1 60")
    url = run.wait_for_line(r"embedded Valkey at (\S+)")[1]
    (worker,) = run.wait_for_running_jobs(1)
    with Redis.from_url(url) as client:
        valkey = client.info("server")["process_id"]
    run.process.kill()

    def has_ended(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    eventually("the server has ended", lambda: has_ended(valkey))
    os.kill(worker, signal.SIGTERM)  # the parent's death already drains it; a second signal makes it hand back
    eventually("the worker has ended", lambda: has_ended(worker))


def test_an_app_that_cannot_be_imported_ends_the_run(up: Up, folder: Path) -> None:
    (folder / "pools.yaml").write_text((folder / "pools.yaml").read_text().replace("pair:app", "broken:app", 1))
    (folder / "broken.py").write_text("raise RuntimeError('no database here')\n")
    run = up("--until-idle", "--with", f"{ENQUEUE} quick 1 1")
    assert run.wait() == 1
    died = [
        line for line in run.lines if "died: broken:app: importing it failed: RuntimeError: no database here (" in line
    ]
    assert len(died) == 1
    assert run.find("giving up: workers of default/quick exit before they are ready")
    assert not run.find("Traceback")


def test_an_edit_takes_effect_and_one_with_an_error_does_not(up: Up, folder: Path) -> None:
    run = up()
    file = folder / "pools.yaml"
    text = file.read_text()
    run.wait_for_line("pools: quick, slow")
    file.write_text(text.replace("max: 2, jobsPerWorker: 20", "min: 1, max: 2"))
    run.wait_for_line("pool default/quick: changed")
    run.wait_for_line(r"quick: 1 worker; ")
    file.write_text(text.replace("jobsPerWorker: 20", "jobsPerWorkers: 20"))
    run.wait_for_line(
        r"pools.yaml:7: spec.scaling.jobsPerWorkers: unknown key; did you mean jobsPerWorker\?; "
        r"the previous specs stay in effect"
    )
    file.write_text(text.partition("---")[2])
    run.wait_for_line("pool default/quick: removed")
    run.press_ctrl_c()
    assert run.wait(20) == 0
    assert run.count("the previous specs stay in effect") == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["nowhere"], "jobpools: nowhere: no such file or folder"),
        (
            ["--with", "'"],
            'jobpools: --with: "\'" is not a command line (no closing quotation); quote it as in a shell',
        ),
        (["--with", " "], "jobpools: --with: the command is empty; write a program and its arguments"),
        (["--plot", "nowhere/run.png"], "jobpools: --plot nowhere/run.png: the folder "),
    ],
)
def test_wrong_options_are_reported_before_anything_starts(up: Up, arguments: list[str], error: str) -> None:
    run = up(*arguments)
    assert run.wait(10) != 0
    (line,) = run.lines
    assert line.startswith(error)


def test_an_outage_of_redis_is_reported_once(up: Up, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with running(valkey_binary(), data) as server:
        run = up("--until-idle", "--redis", server.url, "--with", f"{ENQUEUE} slow 2 1")
        run.wait_for_running_jobs(2)
        server.kill()
        run.wait_for_line("Redis is unavailable: ")
        server.start()
        run.wait_for_line("Redis is available again")
        assert run.wait(60) == 0
    assert re.match(r"done: 2 completed, \d+ retried, 0 dead, 0 lost; ", run.lines[-1]), run.text
    assert run.count("Redis is unavailable: ") == 1


def test_a_wrong_password_is_one_line(up: Up) -> None:
    with running(valkey_binary(), password="right") as server:  # noqa: S106  # of a server on loopback
        run = up("--redis", server.url.replace("right", "wrong"))
        assert run.wait(10) == 1
    (line,) = run.lines
    assert line.startswith("jobpools: ")
    assert "password" in line
    assert "wrong" not in line
