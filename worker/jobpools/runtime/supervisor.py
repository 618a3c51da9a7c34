"""The parent process of `jobpools worker`: small, and able to act while the worker cannot.

It forks the worker before anything heavy is imported, hands signals on to it, answers its probes, renews its leases
while a handler holds the GIL, settles the worker's leases when it dies, and ends the processes that it started.
"""

import contextlib
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jobpools.observability.http_messages import NOT_FOUND, Response
from jobpools.runtime import guardian, link, probes, processes, substitute
from jobpools.runtime.probe_server import ProbeServer
from jobpools.runtime.vitals import Vitals

HANDED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that are forwarded to the worker."""
STALLED_AFTER, SHORTEST_STALL = 0.15, 1.0
"""Maximum time without progress of the worker: a share of the lease, and a minimum in seconds."""
LOOKS = 20
"""Checks of the worker per lease duration."""
OVERTIME = 30.0
"""Seconds beyond the latest deadline of its attempts after which a worker without progress is killed."""
LAST_WORDS = 10.0
"""Maximum seconds between a worker's goodbye and its end."""


SHORTEST_LEASE = 2.0
"""Minimum seconds of a lease; shorter ones expire before a supervisor can settle a dead worker's leases."""
SETTLING = 15.0
"""Seconds that a dead worker's jobs may take to be settled; then their leases expire."""


class Ended(NamedTuple):
    """How the worker's process ended."""

    status: int
    """As waitpid(2) gives it."""
    peak_bytes: int
    """Its peak memory."""


class Supervisor:
    """The parent of one worker."""

    def __init__(self, worker: int, channel: socket.socket, vitals: Vitals, wake: int, tracebacks: int) -> None:
        self._worker = worker
        self._channel = channel
        self._vitals = vitals
        self._wake = wake
        self.was_told = False
        """A signal was forwarded to the worker."""
        self._unread = b""
        self._hello: Mapping[str, Any] | None = None
        self._code: int | None = None
        """The exit code in the worker's goodbye; None: no goodbye has arrived."""
        self._ended: Ended | None = None
        self._leaving = 0.0
        self._probe_server: ProbeServer | None = None
        self._guardian, self._guarded = 0, -1
        self._helper = 0
        """The process that renews the leases while the worker makes no progress."""
        self._note = ""
        """Why the worker was killed by its supervisor."""
        self._killed = 0.0
        self._tracebacks = tracebacks
        self._oom_kills = guardian.oom_kills()
        self._poller = select.poll()
        for each in (channel.fileno(), wake):
            self._poller.register(each, select.POLLIN)

    def run(self) -> int:
        """Supervise until the worker and all processes that it started have ended; returns the exit code."""
        self._guard()
        while self._ended is None:
            for descriptor, _ in self._poller.poll(self._interval()):
                self._on(descriptor)
            self._look(time.monotonic())
        self._read()  # the last messages may have arrived with the worker's end
        if self._probe_server is not None:
            self._probe_server.close()
        self._stop_helper()
        settler = self._settle(self._ended)
        processes.end_below(os.getpid(), spared=frozenset({self._guardian, settler}))
        processes.wait_for(settler, SETTLING)
        if self._guardian:
            processes.send([self._guardian], signal.SIGKILL)
        return self._leave(self._ended.status)

    def _guard(self) -> None:
        if guardian.is_possible():
            with contextlib.suppress(OSError):  # too many processes: the worker runs without a guardian
                self._guardian, self._guarded = guardian.start(self._worker)

    def _interval(self) -> float | None:
        """Return the milliseconds until the next check; None: there is nothing to check."""
        if self._code is not None:
            return 100
        if self._hello is None:
            return None
        return max(50, float(self._hello["lease"]) * 1000 / LOOKS)

    # What comes in

    def _on(self, descriptor: int) -> None:
        if descriptor == self._wake:
            self._signals()
        elif descriptor == self._channel.fileno():
            self._read()
        elif self._probe_server is not None:
            self._probe_server.on(descriptor)

    def _signals(self) -> None:
        for number in os.read(self._wake, 512):
            if number == signal.SIGCHLD:
                self._reap()
            elif number == signal.SIGTSTP:  # Ctrl-Z: stop the worker and the processes it started, too
                self._send(signal.SIGSTOP, group=True)
                os.kill(os.getpid(), signal.SIGSTOP)
            else:
                self.was_told = self.was_told or number in HANDED_ON
                self._send(number, group=number == signal.SIGCONT)

    def _send(self, number: int, *, group: bool = False) -> None:
        if self._ended is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                (os.killpg if group else os.kill)(self._worker, number)

    def _reap(self) -> None:
        """Reap children that have ended: the worker, the guardian, and orphans of handlers."""
        with contextlib.suppress(ChildProcessError):
            while (found := os.wait4(-1, os.WNOHANG))[0]:
                pid, status, usage = found
                if pid == self._worker:
                    unit = 1 if sys.platform == "darwin" else 1024
                    self._ended = Ended(status, usage.ru_maxrss * unit)
                elif pid == self._guardian:
                    os.close(self._guarded)
                    self._guardian, self._guarded = 0, -1
                elif pid == self._helper:
                    self._helper = 0

    def _read(self) -> None:
        """Read the worker's messages."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._channel, 1 << 16, 1)
        except (BlockingIOError, ConnectionResetError):
            return
        if not data:
            with contextlib.suppress(KeyError):  # read once more after the end
                self._poller.unregister(self._channel)
        *lines, self._unread = (self._unread + data).split(b"\n")
        for descriptor in descriptors:
            self._probe_server = ProbeServer(self._poller, socket.socket(fileno=descriptor), self._answer)
        for line in lines:
            self._take(json.loads(line))

    def _take(self, message: Mapping[str, Any]) -> None:
        if "goodbye" not in message:
            self._hello = message
            return
        self._code = int(message["goodbye"])
        self._leaving = time.monotonic()
        # Everything is settled. A child that is left would keep the interpreter from ending: it joins them.
        processes.send(processes.below(self._worker), signal.SIGTERM)

    def _answer(self, path: str, connection: socket.socket) -> Response | None:
        """Answer a probe. A scrape is handed over to the worker, which has the figures."""
        now = time.monotonic()
        if path == "/livez":
            return probes.livez(self._vitals.snapshot(), now)
        if path == "/readyz":
            return probes.readyz(self._vitals.snapshot())
        if path != "/metrics":
            return NOT_FOUND
        if self._silence(now) > self._stalled_after():
            return probes.STALLED
        try:
            socket.send_fds(self._channel, [b"."], [connection.fileno()])
        except OSError:
            return probes.STALLED
        return None

    # What is looked at

    def _look(self, now: float) -> None:
        if self._probe_server is not None:
            self._probe_server.drop_late(now)
        if self._code is not None and now > self._leaving + processes.GRACE:
            processes.send(processes.below(self._worker), signal.SIGKILL)
        if self._code is not None and now > self._leaving + LAST_WORDS:
            self._send(signal.SIGKILL)  # an exit handler of the app's hangs
        if self._hello is not None and self._code is None and self._ended is None:
            self._look_at_stall(self._hello, now)

    def _look_at_stall(self, hello: Mapping[str, Any], now: float) -> None:
        """Renew the leases in the worker's place while it makes no progress, for a limited time."""
        silence, snapshot = self._silence(now), self._vitals.snapshot()
        if silence <= self._stalled_after():
            if self._helper:
                self._stop_helper()
                substitute.say(hello, f"worker {hello['worker']}: it makes progress again")
        elif now > max(snapshot.deadline, snapshot.lease_thread) + OVERTIME:
            self._kill(silence, now)
        elif not self._helper:
            self._helper = self._fork(lambda: substitute.extend(hello, silence))

    def _kill(self, silence: float, now: float) -> None:
        if not self._note:
            self._note = (
                f"the worker made no progress for {silence:.0f} s, {OVERTIME:.0f} s beyond its jobs' timeouts: "
                "a handler holds the GIL; its supervisor killed it"
            )
            self._stop_helper()
            self._killed = now
            self._send(signal.SIGABRT)  # its traceback names the handler
        elif now > self._killed + processes.GRACE:
            self._send(signal.SIGKILL)

    def _settle(self, ended: Ended) -> int:
        """Settle a dead worker's leases in a new process; returns its pid, 0 if there is nothing to do."""
        hello = self._hello
        if hello is None and self._code is None and not self.was_told:
            return self._fork(lambda: substitute.tell(ended.status, self._traceback()))
        if hello is None or self._code is not None or float(hello["lease"]) < SHORTEST_LEASE:
            return 0
        from jobpools.runtime.blame import Death

        code = os.waitstatus_to_exitcode(ended.status)
        death = Death(
            exit_code=code,
            peak_bytes=ended.peak_bytes,
            out_of_memory=code == -signal.SIGKILL and guardian.oom_kills() > self._oom_kills,
            started=self._vitals.started(),
            ended_by=self._vitals.ended_by,
            loop_thread=self._vitals.loop_thread,
            code=hello["code"],
            dump=self._traceback(),
            note=self._note,
        )
        return self._fork(lambda: substitute.settle(hello, death))

    def _traceback(self) -> str:
        """Return the traceback that faulthandler wrote."""
        return os.pread(self._tracebacks, 1 << 18, 0).decode("utf-8", "replace")

    def _fork(self, work: Callable[[], None]) -> int:
        """Run this in a new process; returns its pid."""
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        try:
            guardian.follow_parent(parent, signal.SIGKILL)
            signal.set_wakeup_fd(-1)
            if self._guarded >= 0:
                os.close(self._guarded)  # else the guardian would wait for this process, too
            self._channel.close()
            work()
        except BaseException:  # noqa: BLE001  # this process must not go on as a second supervisor
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(0)

    def _stop_helper(self) -> None:
        helper, self._helper = self._helper, 0
        if helper:
            processes.send([helper], signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(helper, 0)

    def _silence(self, now: float) -> float:
        """Seconds since the worker's event loop or its lease thread last moved."""
        snapshot = self._vitals.snapshot()
        return now - max(snapshot.lease_thread, snapshot.event_loop) if snapshot.lease_thread else 0.0

    def _stalled_after(self) -> float:
        lease = float(self._hello["lease"]) if self._hello else 0.0
        return max(STALLED_AFTER * lease, SHORTEST_STALL)

    def _leave(self, status: int) -> int:
        """Return the exit code, or end by the same signal as the worker."""
        if self._code is not None:
            return self._code
        code = os.waitstatus_to_exitcode(status)
        if code >= 0:
            return code
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the worker's core is the one to look at
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            if -code not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(-code, signal.SIG_DFL)
            os.kill(os.getpid(), -code)
        return 128 - code  # the first process of a container gets no signal from itself


def run(work: Callable[[], int]) -> int:
    """Run the worker in a child process and supervise it; returns the exit code, in both processes."""
    vitals = Vitals()
    ours, theirs = socket.socketpair()
    tracebacks = _file_in_memory()
    guardian.adopt_orphans()
    former = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    parent = os.getpid()
    worker = os.fork()
    if worker == 0:
        ours.close()
        return _worker(work, link.Link(theirs, vitals), parent, former, tracebacks)
    theirs.close()
    ours.setblocking(False)
    wake = _handle_signals()
    signal.pthread_sigmask(signal.SIG_SETMASK, former)
    with ours:
        supervisor = Supervisor(worker, ours, vitals, wake, tracebacks)
        code = supervisor.run()
    if supervisor.was_told:
        # The interpreter's own end restores the default action: a late signal would change the exit code.
        for number in HANDED_ON:
            signal.signal(number, signal.SIG_IGN)
    return code


def _file_in_memory() -> int:
    """Return a file that faulthandler can write to, and that has no name."""
    if hasattr(os, "memfd_create"):  # Linux
        return os.memfd_create("jobpools-tracebacks")
    import tempfile

    file = tempfile.TemporaryFile()  # noqa: SIM115  # for as long as the process lives
    return os.dup(file.fileno())


def _handle_signals() -> int:
    """Have all signals written to a pipe; returns its end to read."""
    wake, written = os.pipe()
    for each in (wake, written):
        os.set_blocking(each, False)
    signal.set_wakeup_fd(written, warn_on_full_buffer=False)
    for number in (*HANDED_ON, signal.SIGCHLD, signal.SIGTSTP, signal.SIGCONT):
        # nohup: a signal that the caller ignores stays ignored.
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _noted)
    return wake


def _noted(number: int, _frame: object) -> None:
    """Do nothing: the signal's number is in the pipe."""


def _worker(
    work: Callable[[], int], mine: link.Link, parent: int, mask: set[signal.Signals | int], tracebacks: int
) -> int:
    """Run as the worker."""
    os.setsid()  # the terminal sends Ctrl-C to the supervisor only, which forwards it once
    guardian.follow_parent(parent, signal.SIGSTOP if guardian.is_possible() else signal.SIGKILL)
    link.connect(mine)
    from jobpools.runtime import exit_hooks

    exit_hooks.write_tracebacks(tracebacks)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    code = _code_of(work)
    mine.goodbye(code)
    mine.detach()
    return code


def _code_of(work: Callable[[], int]) -> int:
    try:
        return work()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        sys.stderr.write(f"{end.code}\n")
        return 1
