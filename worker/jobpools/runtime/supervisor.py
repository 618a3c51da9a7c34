"""The parent process of `jobpools worker`: small, and able to act while the worker cannot.

It forwards signals to the worker, answers its probes, extends its leases while a handler holds the GIL, settles the
worker's leases when it dies, and ends the processes that handlers started.
"""

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Mapping
from typing import Any, Final

from jobpools.observability.http_messages import NOT_FOUND, Response
from jobpools.runtime import probes, processes
from jobpools.runtime.guardian import Guardian, count_oom_kills
from jobpools.runtime.helper_process import HelperProcesses
from jobpools.runtime.probe_server import ProbeServer
from jobpools.runtime.stall import StallMonitor
from jobpools.runtime.vitals import Vitals
from jobpools.runtime.worker_messages import WorkerMessages
from jobpools.runtime.worker_process import Exit, WorkerProcess, end_like

FORWARDED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that are forwarded to the worker."""
CHECKS_PER_LEASE: Final = 20
"""Checks of the worker per lease duration."""
EXIT_TIMEOUT: Final = 10.0
"""Maximum seconds between a worker's goodbye and its end; exit handlers of the app run in this time."""
MIN_LEASE: Final = 2.0
"""Minimum seconds of a lease; shorter ones expire before a supervisor can settle a dead worker's leases."""
SETTLE_TIMEOUT: Final = 15.0
"""Maximum seconds to settle a dead worker's leases; after that they expire."""


class Supervisor:
    """The parent of one worker process."""

    def __init__(self, worker: WorkerProcess, channel: socket.socket, vitals: Vitals, wake: int, dump: int) -> None:
        """Prepare the supervisor. `wake`: pipe with the numbers of received signals. `dump`: file of faulthandler."""
        self._worker = worker
        self._vitals = vitals
        self._wake = wake
        self._dump = dump
        self._messages = WorkerMessages(channel)
        self._goodbye_at = 0.0
        self._guardian = Guardian(worker.pid)
        self._helpers = HelperProcesses(channel, self._guardian)
        self._stall = StallMonitor(worker, vitals, self._helpers)
        self._probe_server: ProbeServer | None = None
        self._oom_kills_before = count_oom_kills()
        self.has_forwarded = False
        """Whether a signal was forwarded to the worker."""
        self._poller = select.poll()
        for descriptor in (channel.fileno(), wake):
            self._poller.register(descriptor, select.POLLIN)

    def run(self) -> int:
        """Supervise until the worker and all processes that it started have ended; return the exit code."""
        self._guardian.start()
        while self._worker.exit is None:
            for descriptor, _ in self._poller.poll(self._interval_ms()):
                self._handle(descriptor)
            self._check(time.monotonic())
        self._read_messages()  # the last messages may have arrived with the worker's end
        if self._probe_server is not None:
            self._probe_server.close()
        self._stall.stop()
        settling = self._settle(self._worker.exit)
        processes.end_descendants(os.getpid(), spared=frozenset({self._guardian.pid, settling}))
        processes.wait_for(settling, SETTLE_TIMEOUT)
        self._guardian.stop()
        code = self._messages.exit_code
        return end_like(self._worker.exit.code) if code is None else code

    def _interval_ms(self) -> float | None:
        """Return the milliseconds until the next check; None: only an event requires one."""
        if self._messages.exit_code is not None:
            return 100
        if self._messages.description is None:
            return None
        return max(50, float(self._messages.description["lease"]) * 1000 / CHECKS_PER_LEASE)

    # Events

    def _handle(self, descriptor: int) -> None:
        if descriptor == self._wake:
            self._handle_signals()
        elif descriptor == self._messages.channel.fileno():
            self._read_messages()
        elif self._probe_server is not None:
            self._probe_server.handle(descriptor)

    def _handle_signals(self) -> None:
        for number in os.read(self._wake, 512):
            if number == signal.SIGCHLD:
                self._reap()
            elif number == signal.SIGTSTP:  # Ctrl-Z: stop the worker and the processes it started, too
                self._worker.signal(signal.SIGSTOP, group=True)
                os.kill(os.getpid(), signal.SIGSTOP)
            else:
                self.has_forwarded = self.has_forwarded or number in FORWARDED
                self._worker.signal(number, group=number == signal.SIGCONT)

    def _reap(self) -> None:
        """Reap children that have ended: the worker, the guardian, helpers, and orphans of handlers."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.wait4(-1, os.WNOHANG))[0]:
                pid, status, usage = ended
                if pid == self._worker.pid:
                    self._worker.reaped(status, usage)
                self._guardian.reaped(pid)
                self._stall.reaped(pid)

    def _read_messages(self) -> None:
        had_goodbye = self._messages.exit_code is not None
        for listening in self._messages.read():
            self._probe_server = ProbeServer(self._poller, listening, self._answer)
        if self._messages.is_closed:
            with contextlib.suppress(KeyError):  # messages are read once more after the worker's end
                self._poller.unregister(self._messages.channel)
        if self._messages.exit_code is not None and not had_goodbye:
            self._goodbye_at = time.monotonic()
            # All attempts are settled. The interpreter's exit would wait for remaining children of multiprocessing.
            processes.send(processes.descendants(self._worker.pid), signal.SIGTERM)

    def _answer(self, path: str, connection: socket.socket) -> Response | None:
        """Answer a probe; None: the connection was handed to the worker, which has the metrics."""
        now = time.monotonic()
        if path == "/livez":
            return probes.livez(self._vitals.snapshot(), now)
        if path == "/readyz":
            return probes.readyz(self._vitals.snapshot())
        if path != "/metrics":
            return NOT_FOUND
        if self._stall.is_stalled(self._messages.description, now):
            return probes.STALLED
        try:
            socket.send_fds(self._messages.channel, [b"."], [connection.fileno()])
        except OSError:
            return probes.STALLED
        return None

    # Checks

    def _check(self, now: float) -> None:
        if self._probe_server is not None:
            self._probe_server.close_late(now)
        if self._messages.exit_code is not None:
            self._check_exit(now)
        elif self._messages.description is not None and self._worker.exit is None:
            self._stall.check(self._messages.description, now)

    def _check_exit(self, now: float) -> None:
        if now > self._goodbye_at + processes.GRACE:
            processes.send(processes.descendants(self._worker.pid), signal.SIGKILL)
        if now > self._goodbye_at + EXIT_TIMEOUT:
            self._worker.signal(signal.SIGKILL)  # an exit handler of the app does not return

    # The worker's death

    def _settle(self, ended: Exit) -> int:
        """Settle a dead worker's leases in a helper process; return its pid, 0 if there is nothing to settle."""
        description = self._messages.description
        if self._messages.exit_code is not None:
            return 0
        if description is None:
            if self.has_forwarded:
                return 0
            return self._helpers.start(lambda: self._report_failed_start(ended))
        if float(description["lease"]) < MIN_LEASE:
            return 0
        return self._helpers.start(lambda: self._settle_crash(description, ended))

    def _report_failed_start(self, ended: Exit) -> None:
        from jobpools.runtime import failed_start  # in the helper process only: the supervisor stays small

        failed_start.report(ended.code, self._read_dump())

    def _settle_crash(self, description: Mapping[str, Any], ended: Exit) -> None:
        from jobpools.runtime import crash_settlement  # in the helper process only: it imports the Redis client
        from jobpools.runtime.crash_report import CrashFacts, report_crash

        facts = CrashFacts(
            exit_code=ended.code,
            peak_bytes=ended.peak_bytes,
            out_of_memory=ended.code == -signal.SIGKILL and count_oom_kills() > self._oom_kills_before,
            started=self._vitals.started(),
            ended_by=self._vitals.ended_by,
            loop_thread=self._vitals.loop_thread,
            code=description["code"],
            dump=self._read_dump(),
            kill_reason=self._stall.kill_reason,
        )
        crash_settlement.settle(description, report_crash(facts))

    def _read_dump(self) -> str:
        """Return the traceback that faulthandler wrote; empty: it wrote none."""
        return os.pread(self._dump, 1 << 18, 0).decode("utf-8", "replace")
