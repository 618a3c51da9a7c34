"""The state of one worker, as facts for its heartbeat, its probes and its metrics."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from importlib.metadata import PackageNotFoundError, version
from operator import attrgetter

from jobpools.core.pools.facts import Heartbeat
from jobpools.core.pools.worker_states import ReportedState, RunningAttempt
from jobpools.core.text.names import WorkerId
from jobpools.observability.metrics_text import Metric, gauge
from jobpools.runtime.blocking import BlockingMonitor
from jobpools.runtime.commands import CommandFollower
from jobpools.runtime.consumer import Consumer
from jobpools.runtime.dispatcher import Dispatcher
from jobpools.runtime.lease_renewal import LeaseRenewal
from jobpools.runtime.left_behind import LeftBehind
from jobpools.runtime.metrics import Metrics
from jobpools.runtime.minute_rates import MinuteRates
from jobpools.runtime.outage import Outage
from jobpools.runtime.reload_requests import ReloadRequests
from jobpools.runtime.slots import Slots
from jobpools.runtime.vitals import Snapshot
from jobpools.store.clock import ServerClock
from jobpools.store.lease_ids import fence_of
from jobpools.store.running_attempts import REPORT_LIMIT, RunningReport


def _version() -> str:
    try:
        return version("jobpools")
    except PackageNotFoundError:
        return ""


@dataclass(slots=True, kw_only=True)
class WorkerState:
    """The state of one worker, read from its parts."""

    worker: WorkerId
    pool: str
    consumers: Sequence[Consumer]
    slots: Slots
    dispatcher: Dispatcher
    renewal: LeaseRenewal
    monitor: BlockingMonitor
    outage: Outage
    left_behind: LeftBehind
    metrics: Metrics
    clock: ServerClock
    commands: CommandFollower
    reloads: ReloadRequests
    started_at: float = field(default_factory=time.monotonic)
    """Monotonic time of the worker's start."""
    version: str = field(default_factory=_version)
    rates: MinuteRates = field(default_factory=lambda: MinuteRates(time.monotonic()))

    @property
    def is_draining(self) -> bool:
        """Whether the worker claims no more jobs: it stops, or a scale-down has marked it as draining in Redis."""
        return self.dispatcher.is_draining or self.slots.is_draining

    @property
    def reported(self) -> ReportedState:
        """The state to report once the worker has started."""
        if self.slots.is_draining:
            return ReportedState.STOPPING
        return ReportedState.PAUSED if self.slots.is_paused else ReportedState.RUNNING

    @property
    def busy(self) -> int:
        """Number of slots in use, by the leases that this worker holds.

        An attempt that has ended keeps its slot until Redis has recorded its end; that step also claims the next job.
        The number of running attempts would drop to zero for one round trip whenever several end together.
        """
        slots = max(self.slots.size, len(self.slots.running))  # more run after a reload with fewer slots
        return min(slots, sum(len(each.leases.attempts) for each in self.consumers))

    def heartbeat(self) -> Heartbeat:
        """Return the heartbeat to send to Redis."""
        idle = self.slots.idle_since
        completed, failed = self.metrics.completed, self.metrics.failed
        rates = self.rates.measure(time.monotonic(), completed, failed)
        return Heartbeat(
            worker=self.worker,
            pool=self.pool,
            slots=self.slots.size,
            busy=self.busy,
            started=self.clock.at(self.started_at),
            seen=self.clock.now(),
            idle_since=None if idle is None else self.clock.at(idle),
            draining=self.is_draining,
            version=self.version,
            rss_bytes=_rss_bytes(),
            completed=completed,
            failed=failed,
            completed_per_minute=rates.completed,
            failed_per_minute=rates.failed,
            left_behind=self.left_behind.count,
            state=self.reported,
            command=self.commands.current,
            settings=self.reloads.applied,
        )

    def running(self) -> RunningReport:
        """Return what the worker runs."""
        started = [each for each in self.slots.running if each.started_at]
        attempts = [
            RunningAttempt(
                each.envelope.id,
                fence_of(each.lease),
                each.envelope.queue,
                each.handler.name,
                each.number,
                self.clock.at(each.started_at),
            )
            for each in nsmallest(REPORT_LIMIT, started, key=attrgetter("started_at"))
        ]
        return RunningReport(tuple(attempts), len(started) - len(attempts))

    def snapshot(self) -> Snapshot:
        """Return the facts by which probes and the supervisor judge the worker."""
        return Snapshot(
            lease_thread=self.renewal.renewed_at,
            event_loop=self.monitor.last_turn,
            dispatcher=self.dispatcher.progress,
            outage=self.outage.is_ongoing,
            draining=self.slots.is_draining,
            deadline=max((each.next_deadline for each in list(self.slots.running) if each.started_at), default=0.0),
        )

    def collect(self) -> Iterator[Metric]:
        """Return the worker's counters and the current gauges."""
        yield from self.metrics.collect()
        left_behind = float(self.left_behind.count)
        yield gauge("jobpools_slots", "Maximum number of jobs that this worker runs at once.", float(self.slots.size))
        yield gauge("jobpools_busy", "Slots in use.", float(self.busy))
        yield gauge("jobpools_waiting", "Jobs claimed and not started.", float(len(self.slots.waiting)))
        yield gauge("jobpools_redis_up", "1 while Redis answers.", float(not self.outage.is_ongoing))
        yield gauge("jobpools_threads_left_behind", "Threads and coroutines that outlived their attempts.", left_behind)
        yield gauge("jobpools_worker_start_time_seconds", "When the worker started.", self.clock.at(self.started_at))
        yield gauge("jobpools_worker_resident_memory_bytes", "Memory in use.", float(_rss_bytes()))


def _rss_bytes() -> int:
    """Return the resident memory in bytes; 0: unknown."""
    import resource

    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  # no pathlib on the heartbeat's path
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return 0
