"""When a pool's next pass is due if nothing wakes the loop before."""

from typing import Final

from jobpools.core.pools.facts import PoolFacts
from jobpools.core.pools.scale_down import Progress
from jobpools.core.pools.sizing import Sizing
from jobpools.core.pools.workers import Worker

MIN_INTERVAL: Final = 0.05
"""Minimum seconds between two passes."""
STEP_INTERVAL: Final = 0.2
"""Seconds to the next pass while a scale-down takes its steps."""
ACTIVE_INTERVAL: Final = 1.0
"""Seconds to the next pass while there is work: no wake-up reports new jobs in a queue that was not empty."""
RETRY_INTERVAL: Final = 2.0
"""Seconds to the next pass when something could not be read, or an action failed."""
IDLE_INTERVAL: Final = 15.0
"""Seconds to the next pass when no change is expected. A wake-up starts it earlier; this covers a lost wake-up."""


def requeue_after(facts: PoolFacts, workers: tuple[Worker, ...], sizing: Sizing, progress: Progress) -> float:
    """Return the seconds until the pool's next pass."""
    if sizing.desired.value is None or facts.queues is None:
        return RETRY_INTERVAL
    if progress is Progress.STEPPING:
        return STEP_INTERVAL
    if progress is Progress.WAITING or _is_changing(facts, workers, sizing.desired.value):
        return ACTIVE_INTERVAL
    # No wake-up reports a job that falls due while the pool has no worker that promotes it.
    due = [queue.due_in for queue in facts.queues.values() if queue.due_in is not None]
    return max(MIN_INTERVAL, min(ACTIVE_INTERVAL if sizing.is_temporary else IDLE_INTERVAL, *due, IDLE_INTERVAL))


def _is_changing(facts: PoolFacts, workers: tuple[Worker, ...], wanted: int) -> bool:
    """Return whether there is work, or the workers do not match what was asked for.

    If the watch showed the end of a change before this pass, no wake-up follows.
    """
    cluster = facts.cluster
    replicas = (cluster.replicas or 0) if cluster is not None else 0
    if cluster is not None and (cluster.outdated or cluster.rolling):
        return True
    return facts.demand > 0 or replicas != wanted or any(not worker.is_ready for worker in workers)
