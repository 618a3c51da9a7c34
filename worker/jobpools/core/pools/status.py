"""A pool's status: figures, examples of workers and conditions. What is unknown is left out."""

from dataclasses import dataclass, fields
from typing import Any, Final

from jobpools.core.conditions import Condition
from jobpools.core.pools.conditions import PassResult
from jobpools.core.pools.workers import Worker, is_busy, paused_heartbeats
from jobpools.core.text.timestamps import timestamp

MAX_EXAMPLES: Final = 10
"""Maximum number of workers that a status lists."""


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker as the status lists it."""

    name: str
    ready: bool
    busy: int | None = None
    slots: int | None = None
    draining: bool | None = None
    """True or left out."""
    idle_since: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """Observed state of a pool. None: unknown."""

    observed_generation: int
    conditions: tuple[Condition, ...]
    replicas: int | None = None
    """Number of workers asked for."""
    ready_replicas: int | None = None
    workers: tuple[WorkerStatus, ...] | None = None
    """At most MAX_EXAMPLES."""
    paused_workers: int | None = None
    """Workers that a user has paused."""
    busy: int | None = None
    """Slots in use."""
    queued: int | None = None
    """Queued and due jobs."""
    in_flight: int | None = None
    scheduled: int | None = None
    dead: int | None = None
    oldest_seconds: int | None = None
    completed_per_minute: float | None = None
    failure_rate: float | None = None

    def condition(self, kind: str) -> Condition:
        """Return the condition of this type, or an empty one."""
        return next((each for each in self.conditions if each["type"] == kind), Condition())

    def to_dict(self) -> dict[str, Any]:
        """Return the status in the form of the CRD, without what is unknown."""
        rendered = _render(self)
        if self.workers is not None:
            rendered["workers"] = [_render(worker) for worker in self.workers]
        return rendered | {"conditions": [dict(each) for each in self.conditions]}


def _render(part: PoolStatus | WorkerStatus) -> dict[str, Any]:
    known = {field.name: getattr(part, field.name) for field in fields(part)}
    return {_camel_case(name): value for name, value in known.items() if value is not None}


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def build_status(result: PassResult, conditions: tuple[Condition, ...]) -> PoolStatus:
    """Return the status of a pool after a pass."""
    cluster, facts, rates = result.facts.cluster, result.facts, result.rates
    queues = None if facts.queues is None else tuple(facts.queues.values())
    examples = sorted(result.workers, key=lambda worker: worker.name)[:MAX_EXAMPLES]
    return PoolStatus(
        observed_generation=result.pool.meta.generation,
        conditions=conditions,
        replicas=None if cluster is None else cluster.replicas or 0,
        ready_replicas=None if cluster is None else result.ready,
        workers=None if cluster is None else tuple(map(_worker_status, examples)),
        paused_workers=None if facts.heartbeats is None else len(paused_heartbeats(facts.heartbeats)),
        busy=_busy_slots(result),
        queued=None if queues is None else facts.waiting,
        in_flight=None if queues is None else facts.in_flight,
        scheduled=None if queues is None else sum(queue.scheduled for queue in queues),
        dead=None if queues is None else sum(queue.dead for queue in queues),
        oldest_seconds=_oldest_seconds(result),
        completed_per_minute=rates.completed_per_minute,
        failure_rate=rates.failure_rate,
    )


def _worker_status(worker: Worker) -> WorkerStatus:
    problem = None if worker.facts.problem is None else str(worker.facts.problem)
    heartbeat = worker.heartbeat
    if heartbeat is None:
        return WorkerStatus(worker.name, worker.is_ready, problem=problem)
    is_idle = not is_busy(heartbeat) and heartbeat.idle_since is not None
    return WorkerStatus(
        name=worker.name,
        ready=worker.is_ready,
        busy=heartbeat.busy,
        slots=heartbeat.slots,
        draining=heartbeat.draining or None,
        idle_since=timestamp(heartbeat.idle_since or 0.0) if is_idle else None,
        problem=problem,
    )


def _busy_slots(result: PassResult) -> int | None:
    """Return the slots in use; never more than there are leases, which are read after the heartbeats were written."""
    if result.facts.heartbeats is None:
        return None
    reported = sum(heartbeat.busy for heartbeat in result.facts.heartbeats)
    return reported if result.facts.queues is None else min(reported, result.facts.in_flight)


def _oldest_seconds(result: PassResult) -> int | None:
    queues = (result.facts.queues or {}).values()
    oldest = max((queue.oldest_seconds for queue in queues if queue.oldest_seconds is not None), default=None)
    return None if oldest is None else int(oldest)
