"""`hack/repeat-tests.sh` runs tests several times, prints how each run ended, and ends the processes it started."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
STUB = """\
#!/usr/bin/env bash
# Stands in for `python -m pytest`: the n-th run executes the n-th line of `runs`.
cd "${0%/*}"
echo "$*" >>arguments
line=$(sed -n "$(wc -l <arguments)p" runs)
eval "$line"
"""

Repeat = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def repeat(tmp_path: Path) -> Repeat:
    """`repeat(runs, *arguments)` starts the program, with a shell line for each run in place of pytest."""
    stub = tmp_path / "python"
    stub.write_text(STUB)
    stub.chmod(0o755)

    def start(runs: list[str], *arguments: str) -> "subprocess.Popen[str]":
        (tmp_path / "runs").write_text("".join(f"{line}\n" for line in runs))
        command = [str(ROOT / "hack" / "repeat-tests.sh"), *arguments]
        env = os.environ | {"PYTHON": str(stub), "TMPDIR": str(tmp_path)}
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    return start


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_all_runs_green(repeat: Repeat, tmp_path: Path) -> None:
    run = repeat(["exit 0", "exit 0"], "2", "--", "tests/x", "-k", "a b")
    lines = run.communicate()[0].splitlines()
    assert run.returncode == 0
    assert [line.partition(",")[0] for line in lines] == ["run 1 of 2: green", "run 2 of 2: green", "2 of 2 green"]
    assert (tmp_path / "arguments").read_text().splitlines() == ["-m pytest -q -p no:cacheprovider tests/x -k a b"] * 2
    assert list(tmp_path.glob("tmp.*")) == [], "the output of green runs is removed"


def test_a_failed_run_is_reported_counted_and_its_output_kept(repeat: Repeat) -> None:
    run = repeat(["exit 0", "echo FAILED tests/x.py::test_y - why; exit 1", "exit 5"], "3", "--", "tests/x")
    lines = run.communicate()[0].splitlines()
    assert run.returncode == 1
    assert lines[1].startswith("run 2 of 3: failed with exit code 1, ")
    assert Path(lines[1].rpartition("output: ")[2]).read_text() == "FAILED tests/x.py::test_y - why\n"
    assert lines[2] == "  FAILED tests/x.py::test_y - why"
    assert lines[3].startswith("run 3 of 3: failed with exit code 5, "), "a run without tests is not green"
    assert lines[-1].startswith("1 of 3 green, ")


def test_a_run_that_takes_longer_than_the_limit_is_ended(repeat: Repeat) -> None:
    run = repeat(["exec sleep 600", "exit 0"], "2", "--limit", "1", "--", "tests/x")
    lines = run.communicate()[0].splitlines()
    assert run.returncode == 1
    assert lines[0].startswith("run 1 of 2: ended after ")
    assert lines[-1].startswith("1 of 2 green, ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_busy_loop_and_the_run_end_with_the_program(repeat: Repeat, tmp_path: Path, number: signal.Signals) -> None:
    run = repeat(["echo >sleeping; exec sleep 600"], "1", "--beside-busy-loop", "--", "tests/x")
    eventually("a run has started", (tmp_path / "sleeping").exists)
    started = children(run.pid)
    assert len(started) == 2, "the busy loop and the run"
    run.send_signal(number)
    run.communicate()
    eventually("both have ended", lambda: not any(is_alive(pid) for pid in started))


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("x", "--", "t"),
        ("0", "--", "t"),
        ("101", "--", "t"),
        ("1", "t"),
        ("1", "--"),
        ("1", "--limit", "0", "--", "t"),
    ],
)
def test_wrong_arguments_run_nothing(repeat: Repeat, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    run = repeat(["exit 0"], *arguments)
    run.communicate()
    assert run.returncode == 2
    assert not (tmp_path / "arguments").exists()
