"""`jobpools plan`: the planner's decision on the present facts, without any effect."""

import time
from collections.abc import Sequence
from typing import Any

from jobpools.core.pools.facts import ClusterFacts, EndpointFacts, PoolFacts, WorkerFacts
from jobpools.core.pools.memory import Memory
from jobpools.core.pools.plan import plan_pool
from jobpools.core.pools.specs import Pool
from jobpools.store.connection import Connection
from jobpools.store.endpoint_facts import read_endpoint

LONG_AGO = float("-inf")
"""Time of the only remembered decision: every stabilization window has passed."""


async def rows(connection: Connection, pools: Sequence[Pool]) -> list[dict[str, Any]]:
    """Return a row for each pool. Raises StoreError."""
    names = {pool.meta.key: [queue.name for queue in pool.spec.queues] for pool in pools}
    endpoint = await read_endpoint(connection, names)
    return [_row(pool, _facts(pool, endpoint), time.time()) for pool in pools]


def _facts(pool: Pool, endpoint: EndpointFacts) -> PoolFacts:
    """Return the facts of a pool. The workers are those that report to Redis, because no cluster is read."""
    heartbeats = endpoint.heartbeats[pool.meta.key]
    hosts = sorted({each.host for each in heartbeats})
    cluster = ClusterFacts(len(hosts), current=True, workers=tuple(WorkerFacts(host, ready=True) for host in hosts))
    queues = {name: endpoint.queues[name] for name in endpoint.queues if name in {q.name for q in pool.spec.queues}}
    return PoolFacts(queues, heartbeats, cluster, warnings=endpoint.warnings)


def _row(pool: Pool, facts: PoolFacts, now: float) -> dict[str, Any]:
    current = (facts.cluster and facts.cluster.replicas) or 0
    memory = Memory(desired=((LONG_AGO, current),))
    plan = plan_pool(pool, facts, memory, now, None)
    return {
        "pool": pool.meta.key,
        "workers": current,
        "desired": plan.desired.value,
        "queued": plan.status.queued,
        "running": plan.status.in_flight,
        "scheduled": plan.status.scheduled,
        "oldest": plan.status.oldest_seconds,
        "reason": str(plan.desired.reason),
        "message": plan.desired.message,
        "warnings": list(facts.warnings),
    }
