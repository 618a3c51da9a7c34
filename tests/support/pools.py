"""Builders of pools and of what is observed of them: each test names only the fields that matter to it."""

from dataclasses import replace
from typing import Any

from jobpools.core.objects import Meta
from jobpools.core.pools.facts import ClusterFacts, Heartbeat, PoolFacts, QueueFacts, WorkerFacts
from jobpools.core.pools.specs import Pool, PoolSpec
from jobpools.core.text.names import QueueName, WorkerId

NOW = 1_000_000.0
"""Seconds since the epoch."""
KEY = "default/shop"
EMPTY = QueueFacts(queued=0, due=0, scheduled=0, in_flight=0, dead=0, oldest_seconds=None)


def pool_spec(**fields: Any) -> PoolSpec:
    """Return the spec of a pool that serves the queue `emails`. `fields`: as in YAML."""
    return PoolSpec.model_validate({"app": "shop:app", "queues": ["emails"], **fields})


def make_pool(**fields: Any) -> Pool:
    """Return the pool `default/shop`. `fields`: of its spec, as in YAML."""
    return Pool(meta=Meta(name="shop", generation=3), spec=pool_spec(**fields))


def queue_facts(**figures: Any) -> QueueFacts:
    """Return an empty queue with some figures changed."""
    return replace(EMPTY, **figures)


def heartbeat(name: str, *, busy: int = 0, idle_since: float = NOW - 500, **fields: Any) -> Heartbeat:
    """Return the heartbeat of the worker with the id `<name>.1`: idle for 500 s, unless it is busy."""
    known: dict[str, Any] = {"slots": 5, "started": NOW - 900, "seen": NOW, "draining": False}
    since = None if busy else idle_since
    return Heartbeat(WorkerId(f"{name}.1"), KEY, busy=busy, idle_since=since, **known | fields)


def ready_workers(names: str) -> tuple[WorkerFacts, ...]:
    """Return one ready worker for each letter."""
    return tuple(WorkerFacts(name, ready=True, started=NOW - 900) for name in names)


def cluster_facts(names: str = "", **fields: Any) -> ClusterFacts:
    """Return a cluster that runs one ready worker for each letter, as many as were asked for."""
    known: dict[str, Any] = {"replicas": len(names), "current": True, "workers": ready_workers(names)}
    return ClusterFacts(**known | fields)


def pool_facts(names: str = "", *, busy: str = "", **queue: Any) -> PoolFacts:
    """Return a pool with one ready worker for each letter of `names`; those in `busy` run a job.

    `queue`: figures of its only queue.
    """
    queue = {"in_flight": len(busy)} | queue
    heartbeats = tuple(heartbeat(name, busy=int(name in busy)) for name in names)
    return PoolFacts({QueueName("emails"): queue_facts(**queue)}, heartbeats, cluster_facts(names))
