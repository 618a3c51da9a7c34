"""React to a worker that makes no progress: extend its leases, and kill it when the timeouts of its jobs are over."""

import signal
from collections.abc import Mapping
from typing import Any, Final

from jobpools.runtime import processes, supervisor_log
from jobpools.runtime.helper_process import HelperProcesses
from jobpools.runtime.vitals import Vitals
from jobpools.runtime.worker_process import WorkerProcess

STALLED_AFTER: Final = 0.15
"""Share of the lease without progress after which a worker counts as stalled."""
MIN_STALLED_AFTER: Final = 1.0
"""Minimum seconds without progress after which a worker counts as stalled."""
OVERTIME: Final = 30.0
"""Seconds beyond the latest deadline of its attempts after which a stalled worker is killed."""


class StallMonitor:
    """Watches the progress of one worker."""

    def __init__(self, worker: WorkerProcess, vitals: Vitals, helpers: HelperProcesses) -> None:
        self._worker = worker
        self._vitals = vitals
        self._helpers = helpers
        self._extension = 0
        """Pid of the helper that extends the leases; 0: it does not run."""
        self._killed_at = 0.0
        self.kill_reason = ""
        """Why the supervisor killed the worker; empty: it did not."""

    def check(self, description: Mapping[str, Any], now: float) -> None:
        """Start or stop the extension of the leases; kill a worker that is stalled beyond its jobs' timeouts.

        Args:
            description: The worker's description (`monitoring.description`).
            now: The monotonic time.
        """
        silence, snapshot = self._silence(now), self._vitals.snapshot()
        if not self.is_stalled(description, now):
            if self._extension:
                self.stop()
                supervisor_log.warn(description, "it makes progress again")
        elif now > max(snapshot.deadline, snapshot.lease_thread) + OVERTIME:
            self._kill(silence, now)
        elif not self._extension:
            self._extension = self._helpers.start(lambda: _extend_leases(description, silence))

    def is_stalled(self, description: Mapping[str, Any] | None, now: float) -> bool:
        """Return whether no thread of the worker has made progress for too long."""
        lease = float(description["lease"]) if description else 0.0
        return self._silence(now) > max(STALLED_AFTER * lease, MIN_STALLED_AFTER)

    def reaped(self, pid: int) -> None:
        """Record that this process has ended; if it was the helper, the next check starts another one."""
        if pid == self._extension:
            self._extension = 0

    def stop(self) -> None:
        """Stop the extension of the leases."""
        pid, self._extension = self._extension, 0
        if pid:
            self._helpers.stop(pid)

    def _kill(self, silence: float, now: float) -> None:
        if not self.kill_reason:
            self.kill_reason = (
                f"the worker made no progress for {silence:.0f} s, {OVERTIME:.0f} s beyond its jobs' timeouts: "
                "a handler holds the GIL; its supervisor killed it"
            )
            self.stop()
            self._killed_at = now
            self._worker.signal(signal.SIGABRT)  # faulthandler's traceback names the handler
        elif now > self._killed_at + processes.GRACE:
            self._worker.signal(signal.SIGKILL)

    def _silence(self, now: float) -> float:
        """Return the seconds since the worker's event loop or its lease thread last made progress."""
        snapshot = self._vitals.snapshot()
        return now - max(snapshot.lease_thread, snapshot.event_loop) if snapshot.lease_thread else 0.0


def _extend_leases(description: Mapping[str, Any], silence: float) -> None:
    from jobpools.runtime import lease_extension  # in the helper process only: it imports the Redis client

    lease_extension.extend(description, silence)
