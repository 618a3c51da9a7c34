"""Who is there: the workers as the cluster sees them, joined with what each reports of itself."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jobpools.core.pools.facts import ClusterFacts, Heartbeat, PoolFacts, WorkerFacts


@dataclass(frozen=True, slots=True)
class Member:
    """One worker that is not on its way out."""

    worker: WorkerFacts
    heartbeat: Heartbeat | None
    """The latest start's report."""

    @property
    def name(self) -> str:
        """The pod's or process's name."""
        return self.worker.name

    @property
    def busy(self) -> bool:
        """It says that it runs something."""
        return self.heartbeat is not None and is_busy(self.heartbeat)

    @property
    def serving(self) -> bool:
        """It takes jobs."""
        return self.worker.ready and self.heartbeat is not None and not self.heartbeat.draining


def is_busy(heartbeat: Heartbeat) -> bool:
    """It runs something, or is about to."""
    return heartbeat.busy > 0 or heartbeat.idle_since is None


def roster(cluster: ClusterFacts, heartbeats: Sequence[Heartbeat]) -> tuple[Member, ...]:
    """Everyone that is not terminating. A restarted container reports under a new id: the latest start counts."""
    latest: dict[str, Heartbeat] = {}
    for heartbeat in sorted(heartbeats, key=lambda each: each.started):
        latest[heartbeat.host] = heartbeat
    return tuple(Member(worker, latest.get(worker.name)) for worker in cluster.workers if not worker.terminating)


def unlisted(cluster: ClusterFacts, heartbeats: Iterable[Heartbeat]) -> frozenset[str]:
    """Hosts that report, and that the cluster neither lists nor has just seen go."""
    known = {worker.name for worker in cluster.workers} | set(cluster.gone)
    return frozenset(each.host for each in heartbeats if each.host not in known)


def busy_hosts(facts: PoolFacts) -> frozenset[str]:
    """Hosts that run something and are not on their way out; one that the cluster does not list yet counts as well."""
    if facts.heartbeats is None:
        return frozenset()
    leaving: set[str] = set()
    if facts.cluster is not None:
        leaving = {worker.name for worker in facts.cluster.workers if worker.terminating} | set(facts.cluster.gone)
    return frozenset(each.host for each in facts.heartbeats if is_busy(each) and each.host not in leaving)
