"""`jobpools up` from its first line to its last, with real processes and a real Valkey."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from tests.local.runs import Run
from tests.support.servers import running, valkey_binary
from tests.support.waiting import eventually

Up = Callable[..., Run]
SENDS = "python pair.py"


def test_all_work_is_done_and_every_pool_is_back_at_nothing(up: Up, folder: Path) -> None:
    run = up("--until-idle", "--plot", "run.png", "--with", f"{SENDS} quick 60 1")
    assert run.end() == 0
    assert re.fullmatch(r"done: 60 completed, 0 retried, 0 dead, 0 lost; peak 2 workers; \d+\.\d s", run.lines[-1]), (
        run.text
    )
    assert run._find("quick: 0 workers, 2 wanted; 0 busy, 60 queued")
    assert run._find(r"^\d\d:\d\d:\d\d  pair\.py \| sent 60$")
    assert (folder / "run.png").read_bytes().startswith(b"\x89PNG")


def test_failures_and_crashes_are_in_the_books(up: Up) -> None:
    run = up("--until-idle", "--with", f"sh -c '{SENDS} fails 2 1; {SENDS} crashes 1 1'")
    assert run.end() == 0
    # Each of the two failed three times; the third kills two workers and no more, as its handler says.
    assert re.match(r"done: 0 completed, 5 retried, 3 dead, 0 lost; ", run.lines[-1]), run.text
    assert len([line for line in run.lines if "died: signal SIGKILL" in line]) == 2
    assert run._find(r"^\d\d:\d\d:\d\d  quick-\w+-\d+ \| Traceback ")
    # Whoever wrote a line, it begins with one time and one name.
    assert run._find(r"^\d\d:\d\d:\d\d  quick-\w+-\d+ \| WARNING  fails \S+: Retried: attempt 1 of 3 failed ")
    assert not [line for line in run.lines[:-1] if len(re.findall(r"\b\d\d:\d\d:\d\d\b", line)) != 1], run.text


def test_a_command_that_fails_makes_the_run_fail(up: Up) -> None:
    run = up("--until-idle", "--with", "sh -c 'echo half way; exit 3'")
    assert run.end() == 1
    assert run._find(r"  sh \| half way$")
    assert len([line for line in run.lines if "sh failed: exit code 3" in line]) == 1


def test_a_command_that_is_none_makes_the_run_fail(up: Up) -> None:
    run = up("--until-idle", "--with", "nonesuch")
    assert run.end() == 1
    assert run._find("nonesuch cannot be started: No such file or directory")


def test_the_run_waits_for_the_command(up: Up) -> None:
    run = up("--until-idle", "--with", "sh -c 'read line < go; echo gone'")
    os.mkfifo(run.folder / "go")
    run.wait("pools: quick, slow")
    assert run.process.poll() is None
    (run.folder / "go").write_text("now\n")
    assert run.end() == 0
    assert run._find(r"  sh \| gone$")


def test_ctrl_c_lets_workers_finish(up: Up) -> None:
    run = up("--with", f"sh -c '{SENDS} slow 2 1; sleep 60'")
    run.running(2)
    run.interrupt()
    assert run.end(20) == 0
    assert run._find("stopping: workers finish what they run")
    assert run.lines[-1].startswith("stopped: 2 completed, 0 retried, 0 dead, 0 lost, 0 still waiting; ")


def test_a_second_ctrl_c_hands_back_what_runs(up: Up, valkey_url: str) -> None:
    run = up("--until-idle", "--redis", valkey_url, "--with", f"{SENDS} slow 3 60")
    pids = run.running(3)
    run.interrupt()
    run.wait("stopping")
    run.interrupt()
    assert run.end(15) == 130  # not all is done, which was asked for
    assert run.lines[-1].startswith("stopped: 0 completed, 0 retried, 0 dead, 0 lost, 3 still waiting; ")
    with Redis.from_url(valkey_url) as client:
        assert client.ping()  # it was there before, and stays
    for pid in set(pids):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_killed_worker_is_replaced_and_its_job_runs_again(up: Up) -> None:
    run = up("--until-idle", "--with", f"{SENDS} slow 1 1")
    (pid,) = run.running(1)
    os.kill(pid, signal.SIGKILL)
    assert run.end() == 0
    assert run._find(r"worker slow-\w+-1 died: signal SIGKILL; another one starts in 500ms")
    assert run.lines[-1].startswith("done: 1 completed, 1 retried, 0 dead, 0 lost; ")


def test_the_embedded_valkey_comes_back_with_its_jobs(up: Up) -> None:
    run = up("--until-idle", "--with", f"{SENDS} slow 4 1")
    url = run.wait(r"Valkey of its own at (\S+)")[1]
    run.running(4)
    with Redis.from_url(url) as client:
        os.kill(client.info("server")["process_id"], signal.SIGKILL)
    run.wait(r"Valkey ended \(signal 9\); it starts again with its data")
    assert run.end(60) == 0
    assert re.match(r"done: 4 completed, \d+ retried, 0 dead, 0 lost; ", run.lines[-1]), run.text


def test_the_valkey_and_the_workers_go_with_a_killed_run(up: Up) -> None:
    run = up("--with", f"{SENDS} slow 1 60")
    url = run.wait(r"Valkey of its own at (\S+)")[1]
    (worker,) = run.running(1)
    with Redis.from_url(url) as client:
        valkey = client.info("server")["process_id"]
    run.process.kill()

    def gone(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    eventually("the server has gone", lambda: gone(valkey))
    os.kill(worker, signal.SIGTERM)  # it was told to drain and does; a second word makes it hand back
    eventually("the worker has gone", lambda: gone(worker))


def test_an_app_that_does_not_import_ends_the_run(up: Up, folder: Path) -> None:
    (folder / "pools.yaml").write_text((folder / "pools.yaml").read_text().replace("pair:app", "broken:app", 1))
    (folder / "broken.py").write_text("raise RuntimeError('no database here')\n")
    run = up("--until-idle", "--with", f"{SENDS} quick 1 1")
    assert run.end() == 1
    said = [
        line for line in run.lines if "died: broken:app: importing it failed: RuntimeError: no database here (" in line
    ]
    assert len(said) == 1
    assert run._find("giving up: no worker of default/quick starts")
    assert not run._find("Traceback")


def test_an_edit_is_followed_and_a_wrong_one_is_not(up: Up, folder: Path) -> None:
    run = up()
    file = folder / "pools.yaml"
    text = file.read_text()
    run.wait("pools: quick, slow")
    file.write_text(text.replace("max: 2, jobsPerWorker: 20", "min: 1, max: 2"))
    run.wait("pool default/quick: changed")
    run.wait(r"quick: 1 worker; ")
    file.write_text(text.replace("jobsPerWorker: 20", "jobsPerWorkers: 20"))
    run.wait(
        r"pools.yaml:7: spec.scaling.jobsPerWorkers: unknown key; did you mean jobsPerWorker\?; the former files hold"
    )
    file.write_text(text.partition("---")[2])
    run.wait("pool default/quick: removed")
    run.interrupt()
    assert run.end(20) == 0
    assert len([line for line in run.lines if "the former files hold" in line]) == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["nowhere"], "jobpools: nowhere: no such file or folder"),
        (["--with", "'"], 'jobpools: --with "\'": No closing quotation'),
        (["--with", " "], "jobpools: --with: there is no command"),
        (["--plot", "nowhere/run.png"], "jobpools: --plot nowhere/run.png: there is no folder "),
    ],
)
def test_what_cannot_work_is_said_before_anything_starts(up: Up, arguments: list[str], error: str) -> None:
    run = up(*arguments)
    assert run.end(10) != 0
    (line,) = run.lines
    assert line.startswith(error)


def test_redis_goes_and_comes_and_is_told_of_once(up: Up, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with running(valkey_binary(), data) as server:
        run = up("--until-idle", "--redis", server.url, "--with", f"{SENDS} slow 2 1")
        run.running(2)
        server.kill()
        run.wait("Redis is away: ")
        server.start()
        run.wait("Redis is back")
        assert run.end(60) == 0
    assert re.match(r"done: 2 completed, \d+ retried, 0 dead, 0 lost; ", run.lines[-1]), run.text
    assert len([line for line in run.lines if "Redis is away: " in line]) == 1


def test_a_wrong_password_is_one_line(up: Up) -> None:
    with running(valkey_binary(), password="right") as server:  # noqa: S106  # of a server on loopback
        run = up("--redis", server.url.replace("right", "wrong"))
        assert run.end(10) == 1
    (line,) = run.lines
    assert line.startswith("jobpools: ")
    assert "password" in line
    assert "wrong" not in line
