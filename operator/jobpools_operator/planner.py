"""Runs the passes of one Redis endpoint's pools when they are due."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

from jobpools.control.reconcile import QueueReading, Reconciler
from jobpools.control.workqueue import DelayQueue
from jobpools.core.pools.specs import Pool
from jobpools_operator.reporter import Counters

MIN_INTERVAL = 0.1
"""Minimum seconds between two passes of a pool, however often it is woken."""
BATCH = 16
"""Maximum number of pools that are read together: a pool with new jobs waits for one batch, not for all pools."""
HEAD_START = 5.0
"""Seconds by which a pool whose queue has new jobs overtakes pools that were due before it, such as new pools."""
NEVER = float("-inf")
"""Start of the last pass of a pool that has had no pass."""


class PoolPlanner:
    """The pools of one endpoint, and when the next pass of each is due. A pool never has two passes at once."""

    def __init__(self, reconciler: Reconciler, counters: Counters, clock: Callable[[], float]) -> None:
        """Begin without any pool. `clock`: monotonic seconds."""
        self._reconciler, self._counters, self._clock = reconciler, counters, clock
        self.pools: dict[str, Pool] = {}
        self._due: DelayQueue[str] = DelayQueue(clock)
        self._running: dict[str, asyncio.Task[None]] = {}
        """By pool key: the pass that runs."""
        self._began_at: dict[str, float] = {}
        """By pool key: when its last pass began."""
        self._pools_of_queue: dict[str, set[str]] = {}

    def put(self, pool: Pool) -> None:
        """Manage this pool and make a pass due now."""
        key = pool.meta.key
        self._remove(key)
        self.pools[key] = pool
        for queue in pool.spec.queues:
            self._pools_of_queue.setdefault(queue.name, set()).add(key)
        self.touch(key)

    def drop(self, key: str) -> None:
        """Stop managing the pool, and cancel its pass that runs."""
        self._remove(key)
        self._began_at.pop(key, None)
        if task := self._running.get(key):
            task.cancel()  # it must not report on or store anything about a pool that was deleted or moved

    def _remove(self, key: str) -> None:
        self._due.discard(key)
        if pool := self.pools.pop(key, None):
            for queue in pool.spec.queues:
                self._pools_of_queue[queue.name].discard(key)
                if not self._pools_of_queue[queue.name]:
                    del self._pools_of_queue[queue.name]

    def touch(self, key: str, head_start: float = 0.0) -> None:
        """Make a pass of the pool due as soon as MIN_INTERVAL allows.

        Args:
            key: The pool, as `namespace/name`.
            head_start: Seconds by which it overtakes pools that were due before it.
        """
        if key in self.pools:
            now = self._clock()
            earliest = self._began_at.get(key, NEVER) + MIN_INTERVAL
            self._due.hasten(key, earliest if earliest > now else now - head_start)

    def touch_queue(self, queue: str) -> None:
        """Make a pass due for each pool that serves this queue, which has new jobs."""
        for key in self._pools_of_queue.get(queue, ()):
            self.touch(key, HEAD_START)

    def touch_all(self) -> None:
        """Make a pass due for each pool."""
        for key in self.pools:
            self.touch(key)

    async def run(self) -> None:
        """Run due passes until cancelled: one read for a batch, then a task for each pool."""
        async with asyncio.TaskGroup() as group:
            while True:
                keys = await self._due.next_due(BATCH)
                await self._begin_passes([self.pools[key] for key in keys], group)

    async def _begin_passes(self, batch: Sequence[Pool], group: asyncio.TaskGroup) -> None:
        for pool in batch:
            # A wake-up during the pass makes another pass due, so it is not lost.
            self._due.hold(pool.meta.key)
            self._began_at[pool.meta.key] = self._clock()
        reading = await self._reconciler.read(batch, time.time())
        for pool in batch:
            key = pool.meta.key
            if self.pools.get(key) is not pool:  # changed meanwhile, and due again; or dropped
                self._due.free(key)
                continue
            self._counters.passes += 1
            task = self._running[key] = group.create_task(self._run_pass(pool, reading))
            task.add_done_callback(partial(self._end_pass, key))

    async def _run_pass(self, pool: Pool, reading: QueueReading) -> None:
        wait, key = await self._reconciler.run_pass(pool, reading), pool.meta.key
        if key in self.pools:
            self._due.hasten(key, self._clock() + wait)

    def _end_pass(self, key: str, _: asyncio.Task[None]) -> None:
        """Allow the pool's next pass; called also for a pass that was cancelled before it began."""
        del self._running[key]
        self._due.free(key)
