"""Descendants of a process: find them in /proc, terminate them, and kill them.

This file is also a program: `python processes.py PID START` ends a worker whose supervisor was killed, and all
processes that it started. It imports nothing of jobpools, because it starts while the worker is stopped.
"""

import contextlib
import os
import signal
import sys
import time
from typing import NamedTuple

GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL."""
KILL_TIMEOUT = 2.0
"""Maximum seconds to wait for killed processes to end."""
_POLL_INTERVAL = 0.01
_STATE, _PARENT, _START = 0, 1, 19
"""Fields of /proc/PID/stat behind the name."""


class Process(NamedTuple):
    """One line of the process table."""

    pid: int
    parent: int
    state: str
    start: int
    """When it started, in ticks since the machine's start."""


def all_processes() -> dict[int, Process]:
    """Return all processes by pid; empty where the system has no /proc."""
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208  # no pathlib: it is small
    except OSError:
        return {}
    return {pid: found for pid in pids if (found := find(pid)) is not None}


def find(pid: int) -> Process | None:
    """Return the process with this pid, or None."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123  # as above
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return Process(pid, int(fields[_PARENT]), fields[_STATE], int(fields[_START]))


def descendants(pid: int) -> list[int]:
    """Return the running descendants of a process: parents first, and the oldest of each generation first."""
    processes = all_processes()
    found: list[int] = []
    generation = {pid}
    while generation:
        generation = {each.pid for each in processes.values() if each.parent in generation}
        by_age = sorted(generation, key=lambda each: (processes[each].start, each))
        found += [each for each in by_age if processes[each].state != "Z"]
    return found


def send(pids: list[int], number: int) -> None:
    """Send a signal to each of these processes that still exists."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def end_descendants(pid: int, spared: frozenset[int] = frozenset()) -> None:
    """End the descendants of a process: SIGTERM, and after GRACE SIGKILL. Return when none is left."""

    def left() -> list[int]:
        with contextlib.suppress(ChildProcessError):  # reap orphans, whose parent is now this process
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        return [each for each in descendants(pid) if each not in spared]

    for number, seconds in ((signal.SIGTERM, GRACE), (signal.SIGKILL, KILL_TIMEOUT)):
        until = time.monotonic() + seconds
        signalled: set[int] = set()
        while (found := left()) and time.monotonic() < until:
            send([each for each in found if each not in signalled], number)
            signalled.update(found)
            time.sleep(_POLL_INTERVAL)


def wait_for(pid: int, seconds: float) -> None:
    """Wait for a child process; kill it after `seconds`. Pid 0 means no process."""
    until = time.monotonic() + seconds
    with contextlib.suppress(ChildProcessError):  # it has been reaped already
        while pid and os.waitpid(pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > until:
                send([pid], signal.SIGKILL)
            time.sleep(_POLL_INTERVAL)


def end_stopped(pid: int, start: int) -> None:
    """End a worker that is stopped because its supervisor was killed, and all its descendants."""
    found = find(pid)
    if found is None or found.start != start:
        return  # it has ended, and its pid now belongs to another process
    # The worker is killed last: its descendants are found only while it exists.
    until = time.monotonic() + KILL_TIMEOUT
    while (left := descendants(pid)) and time.monotonic() < until:
        send(left, signal.SIGKILL)
        time.sleep(_POLL_INTERVAL)
    send([pid], signal.SIGKILL)


if __name__ == "__main__":
    end_stopped(int(sys.argv[1]), int(sys.argv[2]))
