"""Read the facts of a batch of pools: the queues once for all, the cluster once for each."""

import logging
from collections.abc import Sequence

from jobpools.control.ports import Cluster, Queues
from jobpools.core.pools.facts import ClusterFacts, EndpointFacts, PoolFacts, Problem
from jobpools.core.pools.reasons import Reason
from jobpools.core.pools.specs import Pool
from jobpools.core.text.error_text import first_line
from jobpools.errors import ObservationError, StoreError
from jobpools.pool_settings import live_settings

log = logging.getLogger(__name__)


async def observe_queues(pools: Sequence[Pool], queues: Queues) -> tuple[EndpointFacts | None, Problem | None]:
    """Read the queues and heartbeats of the pools; return None and the cause when they cannot be read."""
    try:
        return await queues.observe(pools), None
    except (ObservationError, StoreError) as error:
        return None, Problem(Reason.QUEUES_UNKNOWN, first_line(error))
    except Exception as error:
        # A bug, or an unexpected value in Redis. It counts as unknown, so that one queue does not stop all pools.
        log.exception("the queues could not be read")
        return None, Problem(Reason.QUEUES_UNKNOWN, f"{type(error).__name__}: {first_line(error)}")


async def observe_cluster(pool: Pool, cluster: Cluster) -> tuple[ClusterFacts | None, Problem | None]:
    """Read which workers the pool has; return None and the cause when they cannot be read."""
    try:
        return await cluster.observe(pool), None
    except ObservationError as error:
        return None, Problem(Reason.CLUSTER_UNKNOWN, first_line(error))


def pool_facts(
    pool: Pool, endpoint: EndpointFacts | None, cluster: ClusterFacts | None, problems: Sequence[Problem | None]
) -> PoolFacts:
    """Return the facts of this pool. If one of its queues could not be read, all its queues are unknown."""
    found = tuple(problem for problem in problems if problem is not None)
    if endpoint is None:
        return PoolFacts(queues=None, heartbeats=None, cluster=cluster, problems=found)
    if unreadable := endpoint.problems.get(pool.meta.key):
        found += (Problem(Reason.QUEUES_UNKNOWN, unreadable),)
    names = [queue.name for queue in pool.spec.queues]
    known = {name: facts for name, facts in endpoint.queues.items() if name in names}
    return PoolFacts(
        queues=known if len(known) == len(names) else None,
        heartbeats=endpoint.heartbeats.get(pool.meta.key),
        cluster=cluster,
        problems=found,
        settings=live_settings(pool).version,
        warnings=endpoint.warnings,
    )
