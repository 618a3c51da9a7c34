"""A worker that makes no progress: its leases are extended, and beyond its jobs' timeouts it is killed."""

import signal
import socket
from collections.abc import Callable
from typing import Any

import pytest

from jobpools.runtime import processes, supervisor_log
from jobpools.runtime.guardian import Guardian
from jobpools.runtime.helper_process import HelperProcesses
from jobpools.runtime.stall import MIN_STALLED_AFTER, OVERTIME, STALLED_AFTER, StallMonitor
from jobpools.runtime.vitals import Snapshot, Vitals
from jobpools.runtime.worker_process import WorkerProcess

NOW = 1000.0
LEASE = 10.0
STALLED = STALLED_AFTER * LEASE + 0.1
HELLO = {"worker": "web-1.a", "lease": LEASE}


class RecordingWorker(WorkerProcess):
    """A worker process that only records the signals that are sent to it."""

    def __init__(self) -> None:
        super().__init__(pid=1)
        self.signals: list[int] = []

    def signal(self, number: int, *, group: bool = False) -> None:
        assert not group
        self.signals.append(number)


class RecordingHelpers(HelperProcesses):
    """Helper processes that only record their start and stop."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        ours.close()
        super().__init__(theirs, Guardian(worker=1))
        theirs.close()
        self.running: list[int] = []
        self.started = 0

    def start(self, work: Callable[[], None]) -> int:
        assert callable(work)
        self.started += 1
        self.running.append(self.started)
        return self.started

    def stop(self, pid: int) -> None:  # type: ignore[override]  # the real one needs no state
        self.running.remove(pid)


class MonitoredWorker:
    """A monitored worker whose memory says when it last moved."""

    def __init__(self) -> None:
        self.vitals, self.worker, self.helpers = Vitals(), RecordingWorker(), RecordingHelpers()
        self.monitor = StallMonitor(self.worker, self.vitals, self.helpers)

    def moved(self, at: float) -> None:
        """Record that both threads of the worker moved at this time."""
        self.vitals.record_lease_thread(at)
        self.vitals.publish(Snapshot(at, at, at, outage=False, draining=False, deadline=0.0))

    def check(self, now: float) -> None:
        self.monitor.check(HELLO, now)


@pytest.fixture
def monitored(monkeypatch: pytest.MonkeyPatch) -> MonitoredWorker:
    monkeypatch.setattr(supervisor_log, "configure", lambda _hello: None)
    made = MonitoredWorker()
    made.moved(NOW)
    return made


@pytest.mark.parametrize(
    ("description", "silence", "stalled"),
    [
        (HELLO, STALLED_AFTER * LEASE - 0.1, False),
        (HELLO, STALLED, True),
        ({"lease": 1.0}, MIN_STALLED_AFTER - 0.1, False),
        ({"lease": 1.0}, MIN_STALLED_AFTER + 0.1, True),
        (None, MIN_STALLED_AFTER + 0.1, True),
    ],
    ids=["within the share", "beyond the share", "within the minimum", "beyond the minimum", "before its hello"],
)
def test_a_worker_is_stalled_after_a_share_of_its_lease(
    monitored: MonitoredWorker, description: dict[str, Any] | None, silence: float, *, stalled: bool
) -> None:
    assert monitored.monitor.is_stalled(description, NOW + silence) is stalled


def test_a_worker_that_has_not_started_is_not_stalled() -> None:
    assert not MonitoredWorker().monitor.is_stalled(HELLO, NOW)


def test_the_leases_of_a_stalled_worker_are_extended_until_it_moves(
    monitored: MonitoredWorker, caplog: pytest.LogCaptureFixture
) -> None:
    monitored.check(NOW)
    assert monitored.helpers.running == []
    monitored.check(NOW + STALLED)
    monitored.check(NOW + STALLED + 1)
    assert monitored.helpers.running == [1], "one helper, however often it is checked"
    monitored.moved(NOW + STALLED + 2)
    monitored.check(NOW + STALLED + 2)
    assert monitored.helpers.running == []
    assert "worker web-1.a: it makes progress again" in caplog.text
    assert monitored.worker.signals == []


def test_a_helper_that_died_is_replaced(monitored: MonitoredWorker) -> None:
    monitored.check(NOW + STALLED)
    monitored.monitor.reaped(99)
    monitored.check(NOW + STALLED)
    assert monitored.helpers.started == 1, "another process ended"
    monitored.monitor.reaped(1)
    monitored.check(NOW + STALLED)
    assert monitored.helpers.started == 2


def test_a_worker_is_not_killed_within_its_jobs_timeouts(monitored: MonitoredWorker) -> None:
    monitored.vitals.begin("lease", NOW + 300, handler=0)
    monitored.check(NOW + 300 + OVERTIME - 1)
    assert monitored.worker.signals == []
    assert monitored.monitor.kill_reason == ""


def test_a_worker_stalled_beyond_its_jobs_timeouts_is_aborted_and_then_killed(monitored: MonitoredWorker) -> None:
    monitored.vitals.begin("lease", NOW + 300, handler=0)
    monitored.check(NOW + 300)
    end = NOW + 300 + OVERTIME + 1
    monitored.check(end)
    assert monitored.worker.signals == [signal.SIGABRT], "it leaves a traceback"
    assert monitored.helpers.running == [], "its leases are left to expire"
    assert monitored.monitor.kill_reason.startswith(
        "the worker made no progress for 331 s, 30 s beyond its jobs' timeouts"
    )
    monitored.check(end + processes.GRACE - 0.1)
    assert monitored.worker.signals == [signal.SIGABRT]
    monitored.check(end + processes.GRACE + 0.1)
    assert monitored.worker.signals == [signal.SIGABRT, signal.SIGKILL]
