"""Facts of a batch of pools: one read of the queues for all, one look at the cluster for each."""

import logging
from collections.abc import Sequence

from jobpools.control.ports import Cluster, Queues
from jobpools.core.pools.facts import ClusterFacts, EndpointFacts, PoolFacts
from jobpools.core.pools.specs import Pool
from jobpools.errors import ObservationError, StoreError

log = logging.getLogger(__name__)


async def observe_queues(pools: Sequence[Pool], queues: Queues) -> tuple[EndpointFacts | None, str]:
    """What one Redis endpoint knows of the pools; None and why, when it cannot be read."""
    try:
        return await queues.observe(pools), ""
    except (ObservationError, StoreError) as error:
        return None, _one_line(error)
    except Exception as error:
        # A bug, or a value that nobody thought of: as unknown as any other, and no reason to give up all pools.
        log.exception("the queues could not be read")
        return None, f"{type(error).__name__}: {_one_line(error)}"


async def observe_cluster(pool: Pool, cluster: Cluster) -> tuple[ClusterFacts | None, str]:
    """What runs for the pool; None and why, when it cannot be known."""
    try:
        return await cluster.observe(pool), ""
    except ObservationError as error:
        return None, _one_line(error)


def pool_facts(
    pool: Pool, endpoint: EndpointFacts | None, cluster: ClusterFacts | None, problems: Sequence[str]
) -> PoolFacts:
    """The pool's part of what was seen. A queue that the answer leaves out is unknown, and so are all of them then."""
    problem = "; ".join(each for each in problems if each)
    if endpoint is None:
        return PoolFacts(queues=None, heartbeats=None, cluster=cluster, problem=problem)
    problem = "; ".join(filter(None, (problem, endpoint.problems.get(pool.meta.key))))
    names = [queue.name for queue in pool.spec.queues]
    known = {name: facts for name, facts in endpoint.queues.items() if name in names}
    return PoolFacts(
        queues=known if len(known) == len(names) else None,
        heartbeats=endpoint.heartbeats.get(pool.meta.key),
        cluster=cluster,
        problem=problem,
        warnings=endpoint.warnings,
    )


def _one_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
