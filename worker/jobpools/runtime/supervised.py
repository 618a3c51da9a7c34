"""Start a worker under a supervisor: fork before anything heavy is imported, then run as the one or the other."""

import os
import signal
import socket
import sys
from collections.abc import Callable

from jobpools.runtime import guardian, link
from jobpools.runtime.supervisor import FORWARDED, Supervisor
from jobpools.runtime.vitals import Vitals
from jobpools.runtime.worker_process import WorkerProcess


def run(work: Callable[[], int]) -> int:
    """Run the worker in a child process and supervise it; return the exit code, in both processes."""
    vitals = Vitals()
    supervisor_end, worker_end = socket.socketpair()
    dump = _create_dump_file()
    guardian.adopt_orphans()
    # A signal between the fork and the installation of the handlers would be lost, or would kill the supervisor.
    former = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        supervisor_end.close()
        return _run_worker(work, link.Link(worker_end, vitals), parent, former, dump)
    worker_end.close()
    supervisor_end.setblocking(False)
    wake = _install_signal_handlers()
    signal.pthread_sigmask(signal.SIG_SETMASK, former)
    with supervisor_end:
        supervisor = Supervisor(WorkerProcess(pid), supervisor_end, vitals, wake, dump)
        code = supervisor.run()
    if supervisor.has_forwarded:
        # The interpreter's exit restores the default action: a late signal would change the exit code.
        for number in FORWARDED:
            signal.signal(number, signal.SIG_IGN)
    return code


def _create_dump_file() -> int:
    """Return the descriptor of a file without a name, for the traceback of a fatal signal."""
    if hasattr(os, "memfd_create"):  # Linux
        return os.memfd_create("jobpools-tracebacks")
    import tempfile

    file = tempfile.TemporaryFile()  # noqa: SIM115  # for as long as the process lives
    return os.dup(file.fileno())


def _install_signal_handlers() -> int:
    """Have the numbers of all signals written to a pipe; return the end to read."""
    wake, write_end = os.pipe()
    for each in (wake, write_end):
        os.set_blocking(each, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    for number in (*FORWARDED, signal.SIGCHLD, signal.SIGTSTP, signal.SIGCONT):
        # nohup: a signal that the caller ignores stays ignored.
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _ignore)
    return wake


def _ignore(number: int, _frame: object) -> None:
    """Do nothing: the interpreter has written the number to the pipe."""


def _run_worker(
    work: Callable[[], int], supervisor: link.Link, parent: int, mask: set[signal.Signals | int], dump: int
) -> int:
    """Run as the worker; return its exit code."""
    os.setsid()  # the terminal sends Ctrl-C to the supervisor only, which forwards it once
    guardian.follow_parent(parent, signal.SIGSTOP if guardian.is_possible() else signal.SIGKILL)
    link.connect(supervisor)
    from jobpools.runtime import exit_hooks

    exit_hooks.write_tracebacks(dump)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    code = _exit_code_of(work)
    supervisor.goodbye(code)
    supervisor.detach()
    return code


def _exit_code_of(work: Callable[[], int]) -> int:
    try:
        return work()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        sys.stderr.write(f"{end.code}\n")
        return 1
