"""The supervisor's view of the worker process: signals to it, its end, and the supervisor's own end like it."""

import os
import resource
import signal
import subprocess
import sys

import pytest

from jobpools.runtime.worker_process import WorkerProcess, end_like
from tests.support.workers import ROOT

USAGE = resource.getrusage(resource.RUSAGE_SELF)
END_LIKE = "import sys; from jobpools.runtime.worker_process import end_like; sys.exit(end_like(int(sys.argv[1])))"


def end_of_process(exit_code: int) -> int:
    """Return how a process ends that ends like this one."""
    command = [sys.executable, "-c", END_LIKE, str(exit_code)]
    return subprocess.run(command, cwd=ROOT, timeout=60, check=False).returncode


@pytest.mark.parametrize("exit_code", [0, 1, 77])
def test_an_exit_code_is_passed_on(exit_code: int) -> None:
    assert end_like(exit_code) == exit_code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_a_supervisor_ends_by_the_signal_that_ended_the_worker(number: signal.Signals) -> None:
    assert end_of_process(-number) == -number


def test_a_process_that_its_signal_does_not_end_returns_the_exit_code_of_a_shell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As process 1 of a container, which gets no signal from itself."""
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _pid, number: sent.append(number))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    former = signal.getsignal(signal.SIGTERM)
    try:
        assert end_like(-signal.SIGTERM) == 128 + signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, former)
    assert sent == [signal.SIGTERM]


def test_a_worker_that_has_ended_gets_no_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    monkeypatch.setattr(os, "killpg", lambda pid, number: sent.append((-pid, number)))
    worker = WorkerProcess(pid=4711)
    worker.signal(signal.SIGTERM)
    worker.signal(signal.SIGSTOP, group=True)
    worker.reaped(signal.SIGKILL, USAGE)
    worker.signal(signal.SIGTERM)
    assert sent == [(4711, signal.SIGTERM), (-4711, signal.SIGSTOP)]


@pytest.mark.parametrize(("status", "code"), [(3 << 8, 3), (signal.SIGKILL, -signal.SIGKILL)])
def test_the_end_of_a_worker_has_an_exit_code_as_in_subprocess(status: int, code: int) -> None:
    worker = WorkerProcess(pid=4711)
    worker.reaped(status, USAGE)
    assert worker.exit is not None
    assert worker.exit.code == code
    assert worker.exit.peak_bytes >= USAGE.ru_maxrss
