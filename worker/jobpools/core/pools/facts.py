"""What was observed of pools before anything is decided. None means unknown, and unknown is never zero."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from jobpools.core.jobs.policies import DEFAULT_LIMITS, Limits
from jobpools.core.pools.worker_states import ReportedState, WorkerCommand
from jobpools.core.text.names import QueueName, WorkerId


@dataclass(frozen=True, slots=True)
class QueuePause:
    """The pause of a queue: its jobs wait, and no worker claims them."""

    since: float
    """Seconds since the epoch, by the server's clock."""
    by: str
    """Who paused it."""
    reason: str
    """May be empty."""

    def __str__(self) -> str:
        return f"paused by {self.by or 'an unknown user'}{f': {self.reason}' if self.reason else ''}"


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """One queue at one moment. The four totals only rise, unless Redis was emptied."""

    queued: int
    """Jobs in the three ready lists."""
    due: int
    """Scheduled jobs whose time has come and that are not promoted yet."""
    scheduled: int
    """Scheduled jobs whose time has not come."""
    in_flight: int
    """Leases: jobs that a worker has claimed."""
    dead: int
    """Jobs in the dead-letter queue."""
    oldest_seconds: float | None
    """Seconds for which the longest-waiting queued job has been ready. None: no job is queued."""
    expired: bool = False
    """Whether records of ended jobs have expired and are still to be removed."""
    ended: int = 0
    """Records of completed and cancelled jobs."""
    due_in: float | None = None
    """Seconds until the next scheduled job falls due, negative if it is due already. None: no job is scheduled."""
    completed_total: int = 0
    failed_total: int = 0
    """Attempts that failed or timed out."""
    crashed_total: int = 0
    """Attempts that ended with the death of their worker."""
    dead_total: int = 0
    pause: QueuePause | None = None
    """None: the queue is not paused."""
    limits: Limits = DEFAULT_LIMITS
    oldest_dead: float | None = None
    """Seconds since the oldest dead letter died. None: there is none."""

    @property
    def demand(self) -> int:
        """Jobs that need workers: queued, due and running; of a paused queue, only those that run."""
        return self.in_flight if self.pause else self.queued + self.due + self.in_flight

    @property
    def longest_wait(self) -> float:
        """Seconds for which the oldest queued job has waited for a worker; 0 if the queue is empty or paused."""
        return 0.0 if self.pause else self.oldest_seconds or 0.0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A worker's periodic report in Redis."""

    worker: WorkerId
    pool: str
    slots: int
    busy: int
    """Slots in which a job runs or for which the next job is claimed."""
    started: float
    """Seconds since the epoch."""
    seen: float
    """Time of the report by the server's clock, seconds since the epoch."""
    idle_since: float | None
    """Since when the worker has run no job, seconds since the epoch. None: it is busy."""
    draining: bool
    """Whether it is drained and cannot claim: the lock that a scale-down takes."""
    version: str = ""
    rss_bytes: int = 0
    completed: int = 0
    failed: int = 0
    completed_per_minute: float | None = None
    """Attempts that completed, averaged over the last minute or since the start. None: unknown."""
    failed_per_minute: float | None = None
    """Attempts that failed or timed out, in the same way."""
    left_behind: int | None = None
    """Threads and coroutines that still run after their attempts have ended. None: unknown (an older worker)."""
    state: ReportedState = ReportedState.RUNNING
    command: WorkerCommand | None = None
    """The command that the worker follows: who paused or stopped it, and why. None: none was given."""
    settings: str | None = None
    """Version of the pool's settings that it follows; empty: none. None: unknown (an older worker)."""

    @property
    def host(self) -> str:
        """Name of the worker's pod or process."""
        return self.worker.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """One pipelined read of a Redis endpoint for all its pools. Every age in it is by the server's clock."""

    queues: Mapping[QueueName, QueueFacts]
    heartbeats: Mapping[str, tuple[Heartbeat, ...]]
    """By pool key (`namespace/name`): heartbeats that are not stale."""
    warnings: tuple[str, ...] = ()
    """Settings of the server that endanger jobs, such as an eviction policy."""
    problems: Mapping[str, str] = field(default_factory=dict[str, str])
    """By pool key: why this pool's queues could not be read although others could."""
    now: float | None = field(default=None, compare=False)
    """The server's time, seconds since the epoch. None: unknown."""

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
                pool: tuple(_shifted(heartbeat, shift) for heartbeat in found)
                for pool, found in self.heartbeats.items()
            },
        )


def _shifted(heartbeat: Heartbeat, seconds: float) -> Heartbeat:
    idle_since = heartbeat.idle_since
    return replace(
        heartbeat,
        started=heartbeat.started + seconds,
        seen=heartbeat.seen + seconds,
        idle_since=None if idle_since is None else idle_since + seconds,
    )


@dataclass(frozen=True, slots=True)
class Problem:
    """A cause that keeps workers from running, or facts from being observed."""

    reason: str
    """One CamelCase word: a `Reason`, or the cluster's own, such as `ImagePullBackOff`."""
    message: str = ""
    """One line of details. May be empty."""

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}" if self.message else self.reason


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """A worker as the cluster or the process table shows it."""

    name: str
    """Name of the pod or process; equal to `Heartbeat.host`."""
    ready: bool
    terminating: bool = False
    marked: bool = False
    """Whether the cluster is to remove this worker first when the pool scales down."""
    started: float = 0.0
    """Seconds since the epoch."""
    problem: Problem | None = None
    """Why the worker cannot run."""
    generation: str = ""
    """Identifies the spec that it was made from. In a rollout, a scale-down removes workers of several generations."""


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """One pool as the cluster adapter observes it."""

    replicas: int | None
    """Number of workers asked for now. None: the Deployment does not exist yet."""
    current: bool
    """Whether what exists was made from the pool's present spec."""
    workers: tuple[WorkerFacts, ...] = ()
    gone: tuple[str, ...] = ()
    """Names of workers that ended since the last pass: their leases can be released at once."""
    problem: Problem | None = None
    """Why the cluster cannot run the workers, as in `FailedCreate: exceeded quota: …`."""
    has_current_settings: bool = True
    """Whether new workers get the settings of the pool's present spec in their environment."""
    rolling: bool = False
    """Whether workers of an older spec are being replaced. Then it is unknown of which generation a scale-down removes
    workers."""

    @property
    def outdated(self) -> bool:
        """Whether `Cluster.ensure` has work to do."""
        return self.replicas is None or not self.current


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """All that is known of one pool at one moment."""

    queues: Mapping[QueueName, QueueFacts] | None
    heartbeats: tuple[Heartbeat, ...] | None
    cluster: ClusterFacts | None
    problems: tuple[Problem, ...] = ()
    """Causes of unknown facts: `CLUSTER_UNKNOWN` for the cluster, `QUEUES_UNKNOWN` for queues and heartbeats."""
    settings: str = ""
    """Version of the settings that running workers are to follow; empty: none."""
    warnings: tuple[str, ...] = ()
    """Settings that endanger jobs, as in `maxmemory-policy is allkeys-lru: jobs can be evicted; set noeviction`."""

    @property
    def demand(self) -> int:
        """Queued, due and running jobs of all queues; 0 when the queues are unknown."""
        return sum(queue.demand for queue in (self.queues or {}).values())

    @property
    def in_flight(self) -> int:
        """Leases in all queues; 0 when the queues are unknown."""
        return sum(queue.in_flight for queue in (self.queues or {}).values())

    @property
    def waiting(self) -> int:
        """Queued and due jobs of all queues; 0 when the queues are unknown."""
        return sum(queue.queued + queue.due for queue in (self.queues or {}).values())

    @property
    def claimable(self) -> int:
        """Queued and due jobs of the queues that are not paused; 0 when the queues are unknown."""
        return sum(queue.queued + queue.due for queue in (self.queues or {}).values() if not queue.pause)

    def why_unknown(self, reason: str) -> str:
        """Return the causes with this reason as one line; empty if there is none."""
        return "; ".join(problem.message for problem in self.problems if problem.reason == reason)
