"""The worker's process, as its supervisor sees it: signals to it, and how it ended."""

import contextlib
import os
import resource
import signal
import sys
from typing import NamedTuple


class Exit(NamedTuple):
    """The end of a worker process."""

    status: int
    """As waitpid(2) returns it."""
    peak_bytes: int
    """Its peak memory."""

    @property
    def code(self) -> int:
        """The exit code; negative for a signal, as in `subprocess`."""
        return os.waitstatus_to_exitcode(self.status)


class WorkerProcess:
    """The child process that runs the jobs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.exit: Exit | None = None
        """None: it runs."""

    def signal(self, number: int, *, group: bool = False) -> None:
        """Send a signal to the process, or to its process group, unless it has ended."""
        if self.exit is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                (os.killpg if group else os.kill)(self.pid, number)

    def reaped(self, status: int, usage: resource.struct_rusage) -> None:
        """Record the end of the process, as os.wait4 returned it."""
        unit = 1 if sys.platform == "darwin" else 1024
        self.exit = Exit(status, usage.ru_maxrss * unit)


def end_like(exit_code: int) -> int:
    """Return an exit code of 0 or more; end this process by the signal of a negative one."""
    if exit_code >= 0:
        return exit_code
    number = -exit_code
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the core file of interest is the worker's
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    return 128 + number  # the first process of a container receives no signal from itself
