"""End a worker whose supervisor is killed: the kernel stops it at once, and a guardian kills it.

A process cannot react to SIGKILL. So the kernel stops the worker at that moment (PR_SET_PDEATHSIG with SIGSTOP: it
settles nothing more, even if a handler holds the GIL). The guardian waits on a pipe for the end of the supervisor, and
then kills the worker's descendants and the worker. The guardian is a shell, which takes 1 MB of memory where Python
takes 9; it starts Python only when it has to act.
"""

import contextlib
import ctypes
import itertools
import os
import signal
import sys

from jobpools.runtime import processes

SHELL = "/bin/sh"
_SCRIPT = 'read -r _; exec "$@"'
_PDEATHSIG, _SUBREAPER = 1, 36
"""prctl(2), Linux."""
_LINUX = sys.platform.startswith("linux")


def is_possible() -> bool:
    """Return whether this system can have a guardian."""
    return _LINUX and os.access(SHELL, os.X_OK)


def adopt_orphans() -> None:
    """Become the parent of the processes that a child leaves when it ends. Linux only."""
    if _LINUX:
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def follow_parent(parent: int, number: int) -> None:
    """Have the kernel send this signal when the parent dies. Linux only."""
    if not _LINUX:
        return
    ctypes.CDLL(None).prctl(_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:  # the parent died before the line above
        os._exit(1)


def count_oom_kills() -> int:
    """Return how many processes of this container the kernel has killed because of its memory limit; 0: unknown."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        try:
            with open(path, encoding="ascii") as file:  # noqa: PTH123  # no pathlib: the supervisor is small
                words = file.read().split()
        except OSError:
            continue
        return next((int(count) for name, count in itertools.pairwise(words) if name == "oom_kill"), 0)
    return 0


class Guardian:
    """The process that ends a worker and its descendants after the supervisor was killed."""

    def __init__(self, worker: int) -> None:
        self._worker = worker
        self.pid = 0
        """0: there is no guardian."""
        self._pipe = -1
        """The end that keeps the guardian waiting as long as it is open."""

    def start(self) -> None:
        """Start the guardian if the system supports it. If no process can be started, the worker runs without it."""
        if not is_possible():
            return
        found = processes.find(self._worker)
        program = [sys.executable, "-I", "-S", processes.__file__, str(self._worker), str(found.start if found else 0)]
        with contextlib.suppress(OSError):
            read_end, write_end = os.pipe()
            pid = os.fork()
            if pid == 0:
                _become_shell(read_end, program)
            os.close(read_end)
            self.pid, self._pipe = pid, write_end

    def reaped(self, pid: int) -> None:
        """Record that this process has ended, if it was the guardian."""
        if self.pid and pid == self.pid:
            self.release()
            self.pid = 0

    def release(self) -> None:
        """Close this process's end of the pipe: the guardian must not wait for it."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1

    def stop(self) -> None:
        """Kill the guardian."""
        if self.pid:
            processes.send([self.pid], signal.SIGKILL)


def _become_shell(read_end: int, program: list[str]) -> None:
    try:
        os.setsid()  # signals to the supervisor's process group must not reach the guardian
        null = os.open(os.devnull, os.O_RDWR)
        for source, target in ((read_end, 0), (null, 1), (null, 2)):
            os.dup2(source, target)
        os.closerange(3, 1024)
        for number in (signal.SIGPIPE, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execv(SHELL, [SHELL, "-c", _SCRIPT, SHELL, *program])  # noqa: S606  # a constant script
    finally:
        os._exit(127)
