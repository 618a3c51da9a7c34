"""What wakes the planner: Redis, the cluster's watches, a changed spec, and the clock. One planner a Redis endpoint.

An operator that does not lead keeps everything that it is handed and acts on nothing. When it is elected, `lead` looks
at every pool and schedule once; from then on only at those that something happened to, or whose plan asked for another
look.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from jobpools.control.queues import StoreQueues
from jobpools.control.reconcile import Reading, Shell
from jobpools.control.schedules import Timetable
from jobpools.core.conditions import conditions
from jobpools.core.facts import Memory
from jobpools.core.plan import CronPlan, Plan
from jobpools.core.specs import Cron, Meta, Pool, RedisRef
from jobpools.core.units import Decision
from jobpools.errors import ConfigurationError, ObservationError, StoreError
from jobpools.store import wakeups
from jobpools.store.connect import Connection, connect, safe_url
from jobpools.store.schedules import StoreSchedules
from jobpools_operator.kube.cluster import KubeCluster
from jobpools_operator.kube.report import KubeReporter
from jobpools_operator.kube.secret import Secrets

GAP = 0.1
"""Seconds between two passes of a pool, however often it is woken."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0
"""Seconds until a lost subscription is tried again."""
AGAIN = 5.0
"""Seconds until a pool whose Secret could not be read is looked at again."""
ROTATION = 300.0
"""Seconds after which a Secret that holds a URL is read again: a new password is in use after that, at the latest."""
FOREVER = 3600.0
POOLS, CRONS = "workerpools", "cronjobspecs"
"""The plurals of our two kinds."""

log = logging.getLogger("jobpools.operator")
Status = dict[str, Any]
Served = Pool | Cron


def plural_of(served: Served) -> str:
    """Of its kind."""
    return POOLS if isinstance(served, Pool) else CRONS


def refusal(meta: Meta, reason: str, message: str, *, ready: bool | None = False) -> Status:
    """The status of an object that is not served: why it is not ready, and nothing else, for nothing else is known."""
    verdict = {"Ready": Decision(ready, reason, message)}
    return {
        "observedGeneration": meta.generation,
        "conditions": conditions(verdict, None, meta.generation, time.time()),
    }


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
    """By pool key: what was said last, so that transition times are kept and nothing is said twice."""

    cron_statuses: dict[str, Status] = field(default_factory=dict)
    """By schedule key, likewise."""
    passes: int = 0
    fires: int = 0
    misdeletions: int = 0

    async def report(self, pool: Pool, plan: Plan) -> None:
        """The port Reporter: remember what is said, and say it."""
        self.misdeletions += plan.misdeletions
        self.statuses[pool.meta.key] = plan.status
        await self.reporter.report(pool, plan)

    async def report_cron(self, cron: Cron, plan: CronPlan) -> None:
        """The port CronReporter."""
        self.fires += len(plan.fires)
        self.cron_statuses[cron.meta.key] = plan.status
        self.reporter.put(CRONS, cron.meta, plan.status)
        for event in plan.events:
            self.reporter.event("CronJobSpec", cron.meta, event)

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
        self.timetable = Timetable(StoreSchedules(self.connection), tools)
        queues = StoreQueues(self.connection, "operator")
        self._shell = Shell(tools.cluster, queues, tools, tools.memories, tools.statuses)
        self._passing: dict[str, asyncio.Task[None]] = {}
        """By pool key: the pass that runs."""
        self._due: dict[str, float] = {}
        self._passed: dict[str, float] = {}
        self._by_queue: dict[str, set[str]] = {}
        self._woken = asyncio.Event()

    def put(self, served: Served) -> None:
        """Look after this pool or schedule, and look at it now."""
        key = served.meta.key
        if isinstance(served, Cron):
            self.timetable.put(served, self._tools.cron_statuses.get(key))
            return
        self._unlist(key)
        self.pools[key] = served
        for queue in served.spec.queues:
            self._by_queue.setdefault(queue.name, set()).add(key)
        self.touch(key)

    def holds(self, served: Served) -> bool:
        """It looks after exactly this."""
        known: Mapping[str, Served] = self.pools if isinstance(served, Pool) else self.timetable.crons
        return known.get(served.meta.key) == served

    def drop(self, served: Served, *, forget: bool = True) -> None:
        """Look after it no more. `forget`: of a schedule, Redis shall know nothing any more either."""
        key = served.meta.key
        if isinstance(served, Cron):
            self.timetable.drop(key, forget=forget)
            return
        self._unlist(key)
        self._passed.pop(key, None)
        if task := self._passing.get(key):
            task.cancel()  # it must not say or remember anything of a pool that is gone or another's now

    def _unlist(self, key: str) -> None:
        self._due.pop(key, None)
        if pool := self.pools.pop(key, None):
            for queue in pool.spec.queues:
                self._by_queue[queue.name].discard(key)
                if not self._by_queue[queue.name]:
                    del self._by_queue[queue.name]

    @property
    def idle(self) -> bool:
        """Nothing is left to look after."""
        return not self.pools and self.timetable.idle

    def touch(self, key: str) -> None:
        """Something happened to this pool."""
        if key in self.pools:
            now = self._tools.clock()
            soonest = max(now, self._passed.get(key, -FOREVER) + GAP)
            self._due[key] = min(self._due.get(key, soonest), soonest)
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
                group.create_task(self.timetable.run())
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
                            self.touch(key)
                    else:
                        self.touch_all()  # what was published while nobody listened is found by looking
            except StoreError as error:
                log.warning("wake-ups: %s; again in %.1f s", error, pause)
            finally:
                with contextlib.suppress(StoreError):
                    await listener.aclose()
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _plan(self, group: asyncio.TaskGroup) -> None:
        """One read for all that are due; then each pool's pass is on its own, and none waits for another's cluster."""
        while True:
            now = self._tools.clock()
            soonest, batch = now + FOREVER, []
            for key, due in self._due.items():
                if key in self._passing:
                    continue  # its end wakes us, and finds the wake-ups that came meanwhile
                if due <= now:
                    batch.append(self.pools[key])
                soonest = min(soonest, due)
            if batch:
                await self._begin(batch, group)
                continue
            self._woken.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(soonest - now):
                    await self._woken.wait()

    async def _begin(self, batch: list[Pool], group: asyncio.TaskGroup) -> None:
        for pool in batch:
            # A wake-up during the pass sets `due` again, and is not lost.
            del self._due[pool.meta.key]
            self._passed[pool.meta.key] = self._tools.clock()
        reading = await self._shell.read(batch, time.time())
        for pool in batch:
            if self.pools.get(pool.meta.key) is pool:  # else it changed or went meanwhile, and is due again or no more
                self._tools.passes += 1
                task = self._passing[pool.meta.key] = group.create_task(self._pass(pool, reading))
                task.add_done_callback(partial(self._ended, pool.meta.key))

    async def _pass(self, pool: Pool, reading: Reading) -> None:
        wait, key = await self._shell.run(pool, reading), pool.meta.key
        if key in self.pools:
            now = self._tools.clock()
            self._due[key] = min(self._due.get(key, now + FOREVER), now + wait)

    def _ended(self, key: str, _: asyncio.Task[None]) -> None:
        """Also of a pass that was cancelled before it began."""
        del self._passing[key]
        self._woken.set()


class Control:
    """Everything that this operator looks after, whether it leads or not."""

    def __init__(self, tools: Tools) -> None:
        self.tools = tools
        self.pools: dict[str, Pool] = {}
        self.crons: dict[str, Cron] = {}
        self.invalid: dict[str, tuple[str, Meta, Status]] = {}
        """Objects that cannot be served, by plural and key: what their status has to say."""
        self.endpoints: dict[str, Endpoint] = {}
        self._served: dict[str, dict[str, Any]] = {POOLS: self.pools, CRONS: self.crons}
        self._statuses: dict[str, dict[str, Status]] = {POOLS: tools.statuses, CRONS: tools.cron_statuses}
        self._place_of: dict[str, Endpoint] = {}
        """By plural and key: where an object's jobs are."""
        self._to_place: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self._leading = False
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}
        """By plural and key: when its place is looked for again."""
        tools.cluster.touched = self.touched

    @property
    def leading(self) -> bool:
        """This operator acts."""
        return self._leading

    def seen(self, served: Served, status: Status) -> None:
        """A pool or schedule as the API server has it."""
        plural, meta = plural_of(served), served.meta
        self._found(plural, meta, status)
        known = self._served[plural].get(meta.key)
        if known == served:
            return  # only its status changed, and that is our own writing
        if known is not None and known.meta.uid != meta.uid:
            self.gone(plural, known.meta)  # deleted and made again, and we saw only the end of it
            self._found(plural, meta, status)
        self._served[plural][meta.key] = served
        self.invalid.pop(f"{plural}/{meta.key}", None)
        self._to_place.put_nowait((plural, meta.key))

    def gone(self, plural: str, meta: Meta) -> None:
        """It was deleted. A pool's Deployment goes with it by its owner reference; its jobs stay in their queues."""
        self.invalid.pop(f"{plural}/{meta.key}", None)
        served = self._served[plural].pop(meta.key, None)
        self._forget(plural, meta)
        if timer := self._timers.pop((plural, meta.key), None):
            timer.cancel()
        if place := self._place_of.pop(f"{plural}/{meta.key}", None):
            place.drop(served)
            self._retire()

    def _forget(self, plural: str, meta: Meta) -> None:
        self.tools.reporter.forget(plural, meta)
        self._statuses[plural].pop(meta.key, None)
        if plural == POOLS:
            self.tools.memories.pop(meta.key, None)
            self.tools.cluster.forget(meta.key)

    def refuse(self, plural: str, meta: Meta, status: Status, why: Status) -> None:
        """The object's spec cannot work: its status shall be `why`. What runs for it is left as it is."""
        self._found(plural, meta, status)
        served = self._served[plural].pop(meta.key, None)
        if place := self._place_of.pop(f"{plural}/{meta.key}", None):
            place.drop(served, forget=False)
        self.invalid[f"{plural}/{meta.key}"] = (plural, meta, why)
        if self.leading:
            self.tools.reporter.put(plural, meta, why)

    def touched(self, key: str) -> None:
        """The pool's Deployment or pods changed."""
        if place := self._place_of.get(f"{POOLS}/{key}"):
            place.touch(key)

    def _found(self, plural: str, meta: Meta, status: Status) -> None:
        if not self.leading or not self.tools.reporter.knows(plural, meta):
            self.tools.reporter.known(plural, meta, status)
            self._statuses[plural][meta.key] = status

    async def lead(self) -> None:
        """Plan for every pool, and fire every schedule, until cancelled."""
        tools = self.tools
        await tools.cluster.ready()
        tools.memories.clear()
        for plural, meta, status in self.invalid.values():
            tools.reporter.put(plural, meta, status)
        try:
            async with asyncio.TaskGroup() as group:
                self._leading = True
                group.create_task(tools.reporter.run())
                for plural, known in self._served.items():
                    for key in known:
                        self._to_place.put_nowait((plural, key))
                group.create_task(self._place_all(group))
        finally:
            self._leading = False
            self.endpoints.clear()
            self._place_of.clear()

    async def _place_all(self, group: asyncio.TaskGroup) -> None:
        while True:
            plural, key = await self._to_place.get()
            if served := self._served[plural].get(key):
                await self._place(served, group)

    async def _place(self, served: Served, group: asyncio.TaskGroup) -> None:
        meta, redis, plural = served.meta, served.spec.redis, plural_of(served)
        place = f"{plural}/{meta.key}"
        try:
            url = await self.tools.url(meta.namespace, redis)
            endpoint = self._endpoint(url, group)
        except (ConfigurationError, ObservationError) as error:
            log.warning("%s: %s", meta.key, error)
            if place not in self._place_of:  # else the URL that was read last is held
                self.tools.reporter.put(plural, meta, refusal(meta, "RedisUnknown", str(error), ready=None))
            self._later(AGAIN, plural, meta.key)
            return
        former = self._place_of.get(place)
        if redis is not None and redis.secret_key_ref is not None:
            self._later(ROTATION, plural, meta.key)
        if former is endpoint and endpoint.holds(served):
            return
        if former is not None and former is not endpoint:
            former.drop(served)
        if plural == POOLS:
            self.tools.cluster.urls[meta.key] = url
        self._place_of[place] = endpoint
        endpoint.put(served)
        self._retire()

    def _retire(self) -> None:
        """A Redis that nobody needs any more (a changed password makes another URL) is left alone."""
        for url, endpoint in list(self.endpoints.items()):
            if endpoint.idle and endpoint.task is not None:
                endpoint.task.cancel()
                del self.endpoints[url]

    def _later(self, seconds: float, plural: str, key: str) -> None:
        if timer := self._timers.pop((plural, key), None):
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._timers[plural, key] = loop.call_later(seconds, self._to_place.put_nowait, (plural, key))

    def _endpoint(self, url: str, group: asyncio.TaskGroup) -> Endpoint:
        found = self.endpoints.get(url)
        if found is None:
            found = self.endpoints[url] = Endpoint(url, self.tools)
            log.info("redis: %s", safe_url(url))
            found.task = group.create_task(found.run())
        return found
