"""What wakes the planner: Redis, the cluster's watches, a changed spec, and the clock. One planner a Redis endpoint.

An operator that does not lead keeps everything that it is handed and acts on nothing. When it is elected, `lead` looks
at every pool once; from then on only at those that something happened to, or whose plan asked for another look.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jobpools.control.reconcile import reconcile
from jobpools.core.conditions import conditions
from jobpools.core.facts import Memory
from jobpools.core.plan import Plan
from jobpools.core.specs import Meta, Pool, RedisRef
from jobpools.core.units import Decision
from jobpools.errors import ConfigurationError, ObservationError, StoreError
from jobpools.store import wakeups
from jobpools.store.connect import Connection, connect, safe_url
from jobpools.store.queues import StoreQueues
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
"""Seconds after which a Secret that holds a URL is read again."""
FOREVER = 3600.0

log = logging.getLogger("jobpools.operator")
Status = dict[str, Any]


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

    passes: int = 0

    async def report(self, pool: Pool, plan: Plan) -> None:
        """The port Reporter: remember what is said, and say it."""
        self.statuses[pool.meta.key] = plan.status
        await self.reporter.report(pool, plan)

    async def url(self, namespace: str, redis: RedisRef | None) -> str:
        """Where the jobs of a pool or schedule are. Raises ObservationError when its Secret cannot be read."""
        if redis is not None and redis.secret_key_ref is not None:
            return await self.secrets.value(namespace, redis.secret_key_ref)
        return (redis.url if redis is not None else None) or self.redis_url


class Endpoint:
    """One Redis: its pools, its subscription, its planner."""

    def __init__(self, url: str, tools: Tools) -> None:
        self.url = url
        self.pools: dict[str, Pool] = {}
        self.connection: Connection = connect(url)
        self._tools = tools
        self._queues = StoreQueues(self.connection, "operator")
        self._due: dict[str, float] = {}
        self._passed: dict[str, float] = {}
        self._by_queue: dict[str, set[str]] = {}
        self._woken = asyncio.Event()

    def put(self, pool: Pool) -> None:
        """Look after this pool, and look at it now."""
        self.drop(pool.meta.key)
        self.pools[pool.meta.key] = pool
        for queue in pool.spec.queues:
            self._by_queue.setdefault(queue.name, set()).add(pool.meta.key)
        self.touch(pool.meta.key)

    def drop(self, key: str) -> None:
        """Look after it no more."""
        if pool := self.pools.pop(key, None):
            for queue in pool.spec.queues:
                self._by_queue[queue.name].discard(key)
        self._due.pop(key, None)

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
                group.create_task(self._plan())
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

    async def _plan(self) -> None:
        while True:
            now = self._tools.clock()
            batch = [key for key, due in self._due.items() if due <= now]
            if batch:
                await self._pass([self.pools[key] for key in batch])
                continue
            self._woken.clear()
            wait = min(self._due.values(), default=now + FOREVER) - now
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._woken.wait()

    async def _pass(self, batch: list[Pool]) -> None:
        tools = self._tools
        tools.passes += len(batch)
        for pool in batch:
            # A wake-up during the pass sets `due` again, and is not lost.
            self._due.pop(pool.meta.key, None)
            self._passed[pool.meta.key] = tools.clock()
        waits: Mapping[str, float] = await reconcile(
            batch, tools.cluster, self._queues, tools, tools.memories, tools.statuses, time.time()
        )
        now = tools.clock()
        for key, wait in waits.items():
            if key in self.pools:
                self._due[key] = min(self._due.get(key, now + FOREVER), now + wait)


class Control:
    """Everything that this operator looks after, whether it leads or not."""

    def __init__(self, tools: Tools) -> None:
        self.tools = tools
        self.pools: dict[str, Pool] = {}
        self.invalid: dict[str, tuple[str, Meta, Status]] = {}
        """Objects that cannot be served, by plural and key: what their status has to say."""
        self.endpoints: dict[str, Endpoint] = {}
        self._place_of: dict[str, Endpoint] = {}
        self._to_place: asyncio.Queue[str] = asyncio.Queue()
        self._leading = False
        tools.cluster.touched = self.touched

    @property
    def leading(self) -> bool:
        """This operator acts."""
        return self._leading

    def pool_seen(self, pool: Pool, status: Status) -> None:
        """A pool as the API server has it."""
        key = pool.meta.key
        self._found("workerpools", pool.meta, status)
        known = self.pools.get(key)
        if known == pool:
            return  # only its status changed, and that is our own writing
        if known is not None and known.meta.uid != pool.meta.uid:
            self.pool_gone(known.meta)  # deleted and made again, and we saw only the end of it
            self._found("workerpools", pool.meta, status)
        self.pools[key] = pool
        self.invalid.pop(f"workerpools/{key}", None)
        self._to_place.put_nowait(key)

    def pool_gone(self, meta: Meta) -> None:
        """The pool was deleted. Its Deployment goes with it by its owner reference; its jobs stay in their queues."""
        self._forget("workerpools", meta)
        self.pools.pop(meta.key, None)
        self.tools.memories.pop(meta.key, None)
        self.tools.statuses.pop(meta.key, None)
        self.tools.cluster.forget(meta.key)
        if place := self._place_of.pop(meta.key, None):
            place.drop(meta.key)

    def refuse(self, plural: str, meta: Meta, status: Status, why: Status) -> None:
        """The object's spec cannot work: its status shall be `why`. What runs for it is left as it is."""
        self._found(plural, meta, status)
        if plural == "workerpools" and (place := self._place_of.pop(meta.key, None)):
            place.drop(meta.key)
            self.pools.pop(meta.key, None)
        self.invalid[f"{plural}/{meta.key}"] = (plural, meta, why)
        if self.leading:
            self.tools.reporter.put(plural, meta, why)

    def touched(self, key: str) -> None:
        """The pool's Deployment or pods changed."""
        if place := self._place_of.get(key):
            place.touch(key)

    def _found(self, plural: str, meta: Meta, status: Status) -> None:
        if not self.leading or not self.tools.reporter.knows(plural, meta):
            self.tools.reporter.known(plural, meta, status)
            if plural == "workerpools":
                self.tools.statuses[meta.key] = status

    def _forget(self, plural: str, meta: Meta) -> None:
        self.invalid.pop(f"{plural}/{meta.key}", None)
        self.tools.reporter.forget(plural, meta)

    async def lead(self) -> None:
        """Plan for every pool until cancelled."""
        tools = self.tools
        await tools.cluster.ready()
        tools.memories.clear()
        for plural, meta, status in self.invalid.values():
            tools.reporter.put(plural, meta, status)
        try:
            async with asyncio.TaskGroup() as group:
                self._leading = True
                group.create_task(tools.reporter.run())
                for key in self.pools:
                    self._to_place.put_nowait(key)
                group.create_task(self._place_all(group))
        finally:
            self._leading = False
            self.endpoints.clear()
            self._place_of.clear()

    async def _place_all(self, group: asyncio.TaskGroup) -> None:
        while True:
            key = await self._to_place.get()
            if pool := self.pools.get(key):
                await self._place(pool, group)

    async def _place(self, pool: Pool, group: asyncio.TaskGroup) -> None:
        key = pool.meta.key
        try:
            url = await self.tools.url(pool.meta.namespace, pool.spec.redis)
            endpoint = self._endpoint(url, group)
        except (ConfigurationError, ObservationError) as error:
            log.warning("%s: %s", key, error)
            if key not in self._place_of:  # else the URL that was read last is held
                self.tools.reporter.put(
                    "workerpools", pool.meta, refusal(pool.meta, "RedisUnknown", str(error), ready=None)
                )
            self._later(AGAIN, key)
            return
        former = self._place_of.get(key)
        if former is endpoint and endpoint.pools.get(key) == pool:
            self._later(ROTATION, key)
            return
        if former is not None:
            former.drop(key)
        self.tools.cluster.urls[key] = url
        self._place_of[key] = endpoint
        endpoint.put(pool)
        if pool.spec.redis is not None and pool.spec.redis.secret_key_ref is not None:
            self._later(ROTATION, key)

    def _later(self, seconds: float, key: str) -> None:
        asyncio.get_running_loop().call_later(seconds, self._to_place.put_nowait, key)

    def _endpoint(self, url: str, group: asyncio.TaskGroup) -> Endpoint:
        found = self.endpoints.get(url)
        if found is None:
            found = self.endpoints[url] = Endpoint(url, self.tools)
            log.info("redis: %s", safe_url(url))
            group.create_task(found.run())
        return found
