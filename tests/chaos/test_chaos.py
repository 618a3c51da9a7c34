"""A short run of `python -m tests.chaos`: every job is accounted for, and nothing is left running."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import eventually
from tests.support.workers import ROOT

pytestmark = pytest.mark.chaos
COMMAND = (sys.executable, "-m", "tests.chaos")
LAST_LINE = re.compile(
    r"chaos: 1500 jobs: (\d+) completed, (\d+) dead, (\d+) cancelled, 0 lost, 0 settled twice; (\d+) kills; \d+ s"
)


def running_with(folder: Path) -> list[int]:
    """Return the processes whose environment names this folder, this test's own children included."""
    found = []
    for each in Path("/proc").iterdir():
        try:
            is_ours = each.name.isdigit() and str(folder).encode() in (each / "environ").read_bytes()
        except OSError:
            continue
        if is_ours and "Z" not in (each / "stat").read_text().rpartition(")")[2][:3]:
            found.append(int(each.name))
    return found


@pytest.mark.timeout(300)
def test_every_job_is_accounted_for_whatever_is_killed(tmp_path: Path) -> None:
    command = [*COMMAND, "--jobs", "1500", "--seconds", "10", "--seed", "7", "--cancel", "0.04"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False)
    print(run.stdout)  # noqa: T201  # figures for people
    assert run.returncode == 0, run.stdout + run.stderr
    found = LAST_LINE.fullmatch(run.stdout.splitlines()[-1])
    assert found, run.stdout
    completed, dead, cancelled, kills = map(int, found.groups())
    assert completed + dead + cancelled == 1500
    assert min(dead, cancelled, kills) > 0
    eventually("no process is left", lambda: not running_with(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing_running(tmp_path: Path, number: signal.Signals) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    run = subprocess.Popen(
        [*COMMAND, "--jobs", "500", "--seed", "7"], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        eventually("jobs run", lambda: any(path.stat().st_size for path in tmp_path.glob("*/notes")))
        run.send_signal(number)
        _, errors = run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode == 128 + number
    assert "Traceback" not in errors
    eventually("no process is left", lambda: not running_with(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--jobs", "0"], "--jobs: 0 is out of range; give a number from 1 to 1e+06"),
        (["--cancel", "2"], "--cancel: 2.0 is out of range; give a number from 0 to 1"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line(arguments: list[str], message: str) -> None:
    run = subprocess.run([*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr.splitlines()[-1].partition("error: ")[2]) == (2, message)
