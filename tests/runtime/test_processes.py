"""Descendants of a process are found, terminated, and killed where they ignore it; other processes are left alone."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobpools.runtime import processes
from tests.support.waiting import eventually

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
FAMILY = "(trap '{trap}' TERM; echo started; while :; do sleep 0.05; done) & echo started; wait; wait"
"""A shell with a child, each of which prints a line when it is ready."""


class Family:
    """A process with one child."""

    def __init__(self, trap: str) -> None:
        self.parent = subprocess.Popen(["/bin/sh", "-c", FAMILY.format(trap=trap)], stdout=subprocess.PIPE)
        assert self.parent.stdout is not None
        for _ in range(2):
            assert self.parent.stdout.readline() == b"started\n"
        self.child = next(pid for pid in processes.descendants(self.parent.pid) if b"sleep" not in command(pid))

    def child_is_gone(self) -> bool:
        found = processes.find(self.child)
        return found is None or found.state == "Z"


def command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0]
    except OSError:
        return b"sleep"  # it has ended


@pytest.fixture(params=["exit", ""], ids=["ends on SIGTERM", "ignores SIGTERM"])
def family(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Family]:
    monkeypatch.setattr(processes, "GRACE", 0.3)
    made = Family(request.param)
    yield made
    made.parent.kill()
    processes.send([made.child], signal.SIGKILL)
    made.parent.communicate()


def test_a_process_is_found_with_its_parent() -> None:
    found = processes.find(os.getpid())
    assert found is not None
    assert found.parent == os.getppid()
    assert found.pid in processes.all_processes()
    assert processes.find(2**22 + 1) is None, "above the largest process id of Linux"


def test_what_is_below_a_process_is_ended_and_the_process_is_not(family: Family) -> None:
    processes.end_descendants(family.parent.pid)
    assert family.child_is_gone()
    assert processes.descendants(family.parent.pid) == []


def test_spared_processes_are_left(family: Family) -> None:
    processes.end_descendants(family.parent.pid, frozenset(processes.descendants(family.parent.pid)))
    assert not family.child_is_gone()


def test_a_stopped_worker_is_ended_with_its_children(family: Family) -> None:
    found = processes.find(family.parent.pid)
    assert found is not None
    processes.send([family.parent.pid], signal.SIGSTOP)
    processes.end_stopped(found.pid, found.start + 1)
    assert not family.child_is_gone(), "another process got the number"
    processes.end_stopped(found.pid, found.start)
    assert family.parent.wait(timeout=10) == -signal.SIGKILL
    eventually("its child has ended", family.child_is_gone, within=10)


def test_a_child_that_does_not_end_in_time_is_killed() -> None:
    child = subprocess.Popen(["/bin/sleep", "600"])
    processes.wait_for(child.pid, 0.05)
    found = processes.find(child.pid)
    assert found is None
    child.wait()
    processes.wait_for(child.pid, 0.05)  # which has been reaped already
    processes.wait_for(0, 0.05)  # which stands for no process
