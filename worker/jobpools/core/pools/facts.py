"""What was observed of pools before anything is decided. None is unknown, and unknown is never zero."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from jobpools.core.text.names import QueueName, WorkerId


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """One queue at one moment. The four totals only grow, but for a Redis that was emptied."""

    queued: int
    """Jobs in the three ready lists."""
    due: int
    """Scheduled jobs whose time has come and that nobody has promoted yet."""
    scheduled: int
    """Scheduled jobs whose time has not come."""
    in_flight: int
    """Leases: claimed, running or about to."""
    dead: int
    oldest_seconds: float | None
    """How long the longest-waiting queued job has been ready; None: nothing is queued."""
    expired: bool = False
    """Records of ended jobs have expired and must still be removed."""
    ended: int = 0
    """Records of completed and cancelled jobs."""
    due_in: float | None = None
    """Seconds until the next scheduled job falls due; negative: it is due already; None: nothing is scheduled."""
    completed_total: int = 0
    failed_total: int = 0
    """Attempts that failed or timed out."""
    crashed_total: int = 0
    dead_total: int = 0

    @property
    def demand(self) -> int:
        """What workers are needed for: waiting, due and running jobs."""
        return self.queued + self.due + self.in_flight


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a worker reports of itself through Redis."""

    worker: WorkerId
    pool: str
    slots: int
    busy: int
    """Slots in which a job runs, or that the next one is claimed for."""
    started: float
    seen: float
    """The report's time by the server's clock, seconds since the epoch."""
    idle_since: float | None
    """Since when it has had nothing to run; None: it is busy."""
    draining: bool
    """It may claim no more, by `drain.lua`: this is the lock that scale-down takes."""
    version: str = ""
    rss_bytes: int = 0
    completed: int = 0
    failed: int = 0
    left_behind: int | None = None
    """Threads and coroutines that still run after their attempts have ended; None: unknown (an older worker)."""

    @property
    def host(self) -> str:
        """The pod's or process's name."""
        return self.worker.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """One pipelined read of a Redis endpoint, for all its pools. Every age in it is by the server's clock."""

    queues: Mapping[QueueName, QueueFacts]
    heartbeats: Mapping[str, tuple[Heartbeat, ...]]
    """By pool key (`namespace/name`): the reports that are young enough to be believed."""
    warnings: tuple[str, ...] = ()
    """What is wrong with the server, as in an eviction policy that loses jobs."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """By pool key: why this pool's queues could not be read, though the others' could."""
    now: float | None = field(default=None, compare=False)
    """The server's time, seconds since the epoch; None: not known."""

    def by_clock(self, now: float) -> "EndpointFacts":
        """Return the same facts with the workers' times converted to a clock that shows `now` at this moment.

        The planner compares them with its own clock, which may be wrong.
        """
        shift = 0.0 if self.now is None else now - self.now
        if abs(shift) < 1:
            return self
        return replace(
            self,
            now=now,
            heartbeats={
                pool: tuple(_shifted(each, shift) for each in found) for pool, found in self.heartbeats.items()
            },
        )


def _shifted(report: Heartbeat, shift: float) -> Heartbeat:
    idle = report.idle_since
    return replace(
        report,
        started=report.started + shift,
        seen=report.seen + shift,
        idle_since=None if idle is None else idle + shift,
    )


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something cannot run or cannot be observed."""

    reason: str
    """One CamelCase word: a `Reason`, or the cluster's own, such as `ImagePullBackOff`."""
    message: str = ""
    """One line of details. May be empty."""

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}" if self.message else self.reason


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """A worker as the cluster (or the process table) sees it."""

    name: str
    """The pod's name, or the laptop's name for the process; `Heartbeat.host` is the same word."""
    ready: bool
    terminating: bool = False
    marked: bool = False
    """Chosen to go first when the pool shrinks."""
    started: float = 0.0
    problem: Problem | None = None
    """Why the worker cannot run."""
    generation: str = ""
    """Which spec it was made from: in a rollout the cluster shares out a smaller size among the generations."""


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What the cluster adapter sees of one pool."""

    replicas: int | None
    """How many workers are asked for now; None: there is no Deployment yet."""
    current: bool
    """What is asked for was made from the pool's present spec; False: it is to be made again."""
    workers: tuple[WorkerFacts, ...] = ()
    gone: tuple[str, ...] = ()
    """Workers that ended since the last look: their leases can be released at once."""
    problem: Problem | None = None
    """Why the cluster cannot run the workers that were asked for, as in `FailedCreate: exceeded quota: …`."""
    rolling: bool = False
    """Workers of an older spec are being replaced: nobody can say which generation a shrinking pool would lose."""

    @property
    def outdated(self) -> bool:
        """`ensure` has work to do."""
        return self.replicas is None or not self.current


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """All that is known of one pool at one moment."""

    queues: Mapping[QueueName, QueueFacts] | None
    heartbeats: tuple[Heartbeat, ...] | None
    cluster: ClusterFacts | None
    problems: tuple[Problem, ...] = ()
    """Why `cluster` (reason `CLUSTER_UNKNOWN`) or the queues (`QUEUES_UNKNOWN`) are None."""
    warnings: tuple[str, ...] = ()
    """What is readable but wrong, as in `maxmemory-policy is allkeys-lru: jobs can be evicted; set noeviction`."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the pool's totals, for rates."""

    at: float
    completed: int
    failed: int
    crashed: int


@dataclass(frozen=True, slots=True)
class Memory:
    """What one pass hands the next. Lost at a restart, and then rebuilt: nothing that matters depends on it alone."""

    desired: tuple[tuple[float, int], ...] = ()
    """(latest time, workers needed), one entry for each number of the last minutes, for the stabilisation windows."""
    replicas: tuple[tuple[float, int], ...] = ()
    """(time, workers asked for) at each change seen, oldest first, for the policies."""
    active_at: float | None = None
    """When something was last queued, due or in flight."""
    samples: tuple[Sample, ...] = ()
    """Oldest first."""
    locked: tuple[str, ...] = ()
    """Whom (worker ids) a drain of this process's lifetime got: only these locks are known to be whole."""
    draining_since: float | None = None
    """When the scale-down under way took its first lock."""
    victims: tuple[str, ...] = ()
    """Whom (names) the latest scale-down chose, for comparing with who went."""
    shrunk_to: int | None = None
    """How many workers that scale-down asked for."""
