"""One Redis endpoint: its pools and schedules, its subscription, and the planner that passes over what is due."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from jobpools.control.queues import StoreQueues
from jobpools.control.reconcile import Reading, Shell
from jobpools.control.schedules import Scheduler
from jobpools.core.objects import RedisRef
from jobpools.core.pools.facts import Memory
from jobpools.core.pools.plan import Plan, SchedulePlan
from jobpools.core.pools.specs import Pool
from jobpools.core.schedules.specs import Schedule
from jobpools.errors import StoreError
from jobpools.store import wakeups
from jobpools.store.connect import Connection, connect
from jobpools.store.schedules import StoreSchedules
from jobpools_operator.kube.cluster import KubeCluster
from jobpools_operator.kube.report import KubeReporter
from jobpools_operator.kube.secret import Secrets
from jobpools_operator.workqueue import Workqueue

GAP = 0.1
"""Seconds between two passes of a pool, however often it is woken."""
BATCH = 16
"""Maximum number of pools that are read together. What is woken meanwhile waits for one batch, not for all pools."""
AHEAD = 5.0
"""Seconds by which a pool whose queue has new jobs goes before the others: those that are taken up can wait."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0
"""Seconds until a lost subscription is tried again."""
FOREVER = 3600.0
POOLS, SCHEDULES = "workerpools", "cronjobspecs"
"""The plurals of our two kinds."""

log = logging.getLogger("jobpools.operator")
Status = dict[str, Any]
Served = Pool | Schedule


@dataclass
class Tools:
    """What every planner works with."""

    cluster: KubeCluster
    reporter: KubeReporter
    secrets: Secrets
    redis_url: str
    """The default, as the chart gives it."""
    clock: Callable[[], float] = time.monotonic
    memories: dict[str, Memory] = field(default_factory=dict)
    statuses: dict[str, Status] = field(default_factory=dict)
    """By pool key: the last report, so that transition times are kept and no event is repeated."""

    schedule_statuses: dict[str, Status] = field(default_factory=dict)
    """By schedule key, likewise."""
    passes: int = 0
    fires: int = 0
    misdeletions: int = 0

    async def report(self, pool: Pool, plan: Plan) -> None:
        """The port Reporter: store the report, and write it."""
        self.misdeletions += plan.misdeletions
        self.statuses[pool.meta.key] = plan.status
        await self.reporter.report(pool, plan)

    async def report_schedule(self, schedule: Schedule, plan: SchedulePlan) -> None:
        """The port ScheduleReporter."""
        self.fires += len(plan.fires)
        self.schedule_statuses[schedule.meta.key] = plan.status
        self.reporter.put(SCHEDULES, schedule.meta, plan.status)
        for event in plan.events:
            self.reporter.event("CronJobSpec", schedule.meta, event)

    async def url(self, namespace: str, redis: RedisRef | None) -> str:
        """Where the jobs of a pool or schedule are. Raises ObservationError when its Secret cannot be read."""
        if redis is not None and redis.secret_key_ref is not None:
            return await self.secrets.value(namespace, redis.secret_key_ref)
        return (redis.url if redis is not None else None) or self.redis_url


class Endpoint:
    """One Redis: its pools, its schedules, its subscription, its planner."""

    def __init__(self, url: str, tools: Tools) -> None:
        self.url = url
        self.task: asyncio.Task[None] | None = None
        """What runs `run`."""
        self.pools: dict[str, Pool] = {}
        self.connection: Connection = connect(url)
        self._tools = tools
        self.scheduler = Scheduler(StoreSchedules(self.connection), tools)
        queues = StoreQueues(self.connection, "operator")
        self._shell = Shell(tools.cluster, queues, tools, tools.memories, tools.statuses)
        self._passing: dict[str, asyncio.Task[None]] = {}
        """By pool key: the pass that runs."""
        self._due = Workqueue()
        self._passed: dict[str, float] = {}
        self._by_queue: dict[str, set[str]] = {}
        self._woken = asyncio.Event()

    def put(self, served: Served) -> None:
        """Manage this pool or schedule, and plan a pass now."""
        key = served.meta.key
        if isinstance(served, Schedule):
            self.scheduler.put(served, self._tools.schedule_statuses.get(key))
            return
        self._unlist(key)
        self.pools[key] = served
        for queue in served.spec.queues:
            self._by_queue.setdefault(queue.name, set()).add(key)
        self.touch(key)

    def holds(self, served: Served) -> bool:
        """Return whether this endpoint manages exactly this object."""
        known: Mapping[str, Served] = self.pools if isinstance(served, Pool) else self.scheduler.schedules
        return known.get(served.meta.key) == served

    def drop(self, served: Served, *, forget: bool = True) -> None:
        """Stop managing it. `forget`: also delete the schedule's state in Redis."""
        key = served.meta.key
        if isinstance(served, Schedule):
            self.scheduler.drop(key, forget=forget)
            return
        self._unlist(key)
        self._passed.pop(key, None)
        if task := self._passing.get(key):
            task.cancel()  # it must not report on or store anything about a pool that was deleted or moved

    def _unlist(self, key: str) -> None:
        self._due.discard(key)
        if pool := self.pools.pop(key, None):
            for queue in pool.spec.queues:
                self._by_queue[queue.name].discard(key)
                if not self._by_queue[queue.name]:
                    del self._by_queue[queue.name]

    @property
    def empty(self) -> bool:
        """It has no pool and no schedule; one that was deleted may still have to be forgotten."""
        return not self.pools and not self.scheduler.schedules

    @property
    def idle(self) -> bool:
        """Return whether nothing is left to manage."""
        return not self.pools and self.scheduler.idle

    def touch(self, key: str, ahead: float = 0.0) -> None:
        """Something happened to this pool. `ahead`: it goes before pools that have been due for fewer seconds."""
        if key in self.pools:
            now = self._tools.clock()
            soonest = max(now, self._passed.get(key, -FOREVER) + GAP)
            self._due.hasten(key, soonest if soonest > now else now - ahead)
            self._woken.set()

    def touch_all(self) -> None:
        """Something may have happened to any of them."""
        for key in self.pools:
            self.touch(key)

    async def run(self) -> None:
        """Listen and plan until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen())
                group.create_task(self._plan(group))
                group.create_task(self.scheduler.run())
        finally:
            await self.connection.aclose()

    async def _listen(self) -> None:
        pause = FIRST_PAUSE
        while True:
            listener = connect(self.url, timeout=None)
            try:
                async for queue in wakeups.listen(listener):
                    pause = FIRST_PAUSE
                    if queue:
                        for key in self._by_queue.get(queue, ()):
                            self.touch(key, AHEAD)
                    else:
                        self.touch_all()  # messages published without a subscription are lost: check every pool
            except StoreError as error:
                log.warning("wake-ups: %s; again in %.1f s", error, pause)
            finally:
                with contextlib.suppress(StoreError):
                    await listener.aclose()
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _plan(self, group: asyncio.TaskGroup) -> None:
        """One read for a batch; then each pool's pass is on its own, and none waits for another's cluster."""
        while True:
            now = self._tools.clock()
            if keys := self._due.take(now, BATCH):
                await self._begin([self.pools[key] for key in keys], group)
                continue
            self._woken.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(FOREVER, self._due.next_at() - now)):
                    await self._woken.wait()

    async def _begin(self, batch: Sequence[Pool], group: asyncio.TaskGroup) -> None:
        for pool in batch:
            # A wake-up during the pass makes it due again, and is not lost.
            self._due.hold(pool.meta.key)
            self._passed[pool.meta.key] = self._tools.clock()
        reading = await self._shell.read(batch, time.time())
        for pool in batch:
            key = pool.meta.key
            if self.pools.get(key) is not pool:  # it changed or went meanwhile, and is due again or no more
                self._due.free(key)
                continue
            self._tools.passes += 1
            task = self._passing[key] = group.create_task(self._pass(pool, reading))
            task.add_done_callback(partial(self._ended, key))

    async def _pass(self, pool: Pool, reading: Reading) -> None:
        wait, key = await self._shell.run(pool, reading), pool.meta.key
        if key in self.pools:
            self._due.hasten(key, self._tools.clock() + wait)

    def _ended(self, key: str, _: asyncio.Task[None]) -> None:
        """Also of a pass that was cancelled before it began."""
        del self._passing[key]
        self._due.free(key)
        self._woken.set()
