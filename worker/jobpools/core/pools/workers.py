"""A pool's workers: what the cluster shows of each, joined with its heartbeat."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jobpools.core.pools.facts import ClusterFacts, Heartbeat, PoolFacts, WorkerFacts
from jobpools.core.pools.worker_states import ReportedState


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker that is not terminating."""

    facts: WorkerFacts
    heartbeat: Heartbeat | None
    """The heartbeat of its latest start. None: it has sent none, or it is still starting."""

    @property
    def name(self) -> str:
        """Name of the pod or process."""
        return self.facts.name

    @property
    def is_ready(self) -> bool:
        """Whether the cluster reports it ready."""
        return self.facts.ready

    @property
    def is_marked(self) -> bool:
        """Whether the cluster is to remove it first."""
        return self.facts.marked

    @property
    def is_busy(self) -> bool:
        """Whether it reports that it runs a job."""
        return self.heartbeat is not None and is_busy(self.heartbeat)

    @property
    def is_draining(self) -> bool:
        """Whether it may claim no more jobs."""
        return self.heartbeat is not None and self.heartbeat.draining

    @property
    def is_claiming(self) -> bool:
        """Whether it claims jobs."""
        if self.heartbeat is None or self.heartbeat.draining:
            return False
        return self.facts.ready and self.heartbeat.state is ReportedState.RUNNING

    @property
    def is_paused(self) -> bool:
        """Whether a user has told it to claim no more jobs: it is paused, or it stops."""
        return self.heartbeat is not None and self.heartbeat.state in (ReportedState.PAUSED, ReportedState.STOPPING)


def is_busy(heartbeat: Heartbeat) -> bool:
    """Return whether the worker runs a job or is about to."""
    return heartbeat.busy > 0 or heartbeat.idle_since is None


def paused_heartbeats(heartbeats: Iterable[Heartbeat]) -> list[Heartbeat]:
    """Return the heartbeats of paused workers."""
    return [each for each in heartbeats if each.state is ReportedState.PAUSED]


def join_workers(cluster: ClusterFacts, heartbeats: Sequence[Heartbeat]) -> tuple[Worker, ...]:
    """Return all workers that are not terminating.

    A restarted container reports under a new id: the heartbeat of its latest start counts. A worker that is starting
    is seen as one that has not reported yet: it has claimed nothing.
    """
    latest: dict[str, Heartbeat] = {}
    for heartbeat in sorted(heartbeats, key=lambda each: each.started):
        latest[heartbeat.host] = heartbeat
    reported = {host: each for host, each in latest.items() if each.state is not ReportedState.STARTING}
    return tuple(Worker(facts, reported.get(facts.name)) for facts in cluster.workers if not facts.terminating)


def unlisted_hosts(cluster: ClusterFacts, heartbeats: Iterable[Heartbeat]) -> frozenset[str]:
    """Return hosts that send heartbeats and that the cluster neither lists nor has just removed."""
    known = {worker.name for worker in cluster.workers} | set(cluster.gone)
    return frozenset(each.host for each in heartbeats if each.host not in known)


def busy_hosts(facts: PoolFacts) -> frozenset[str]:
    """Return hosts that are busy and not terminating, including those that the cluster does not list yet."""
    if facts.heartbeats is None:
        return frozenset()
    leaving: set[str] = set()
    if facts.cluster is not None:
        leaving = {worker.name for worker in facts.cluster.workers if worker.terminating} | set(facts.cluster.gone)
    return frozenset(each.host for each in facts.heartbeats if is_busy(each) and each.host not in leaving)
