"""Everything that this operator looks after, and on which Redis endpoint each pool and schedule is.

An operator that does not lead keeps everything that it is handed and acts on nothing. When it is elected, `lead` looks
at every pool and schedule once; from then on only at those that something happened to, or whose plan asked for another
look.
"""

import asyncio
import logging
import time
from typing import Any

from jobpools.core.conditions import conditions
from jobpools.core.decision import Decision
from jobpools.core.objects import Meta
from jobpools.core.pools.specs import Pool
from jobpools.core.schedules.specs import Schedule
from jobpools.errors import ConfigurationError, ObservationError
from jobpools.store.connect import safe_url
from jobpools_operator.endpoint import POOLS, SCHEDULES, Endpoint, Served, Status, Tools

__all__ = ["POOLS", "SCHEDULES", "Control", "Endpoint", "Tools", "refusal"]

AGAIN = 5.0
"""Seconds until a pool whose Secret could not be read is looked at again."""
ROTATION = 300.0
"""Seconds after which a Secret that holds a URL is read again: a new password is in use after that, at the latest."""

log = logging.getLogger("jobpools.operator")


def plural_of(served: Served) -> str:
    """Of its kind."""
    return POOLS if isinstance(served, Pool) else SCHEDULES


def refusal(meta: Meta, reason: str, message: str, *, ready: bool | None = False) -> Status:
    """The status of an object that is not served: why it is not ready, and nothing else, for nothing else is known."""
    verdict = {"Ready": Decision(ready, reason, message)}
    return {
        "observedGeneration": meta.generation,
        "conditions": conditions(verdict, None, meta.generation, time.time()),
    }


class Control:
    """Everything that this operator looks after, whether it leads or not."""

    def __init__(self, tools: Tools) -> None:
        self.tools = tools
        self.pools: dict[str, Pool] = {}
        self.schedules: dict[str, Schedule] = {}
        self.invalid: dict[str, tuple[str, Meta, Status]] = {}
        """Objects that cannot be served, by plural and key: what their status has to say."""
        self.endpoints: dict[str, Endpoint] = {}
        self._served: dict[str, dict[str, Any]] = {POOLS: self.pools, SCHEDULES: self.schedules}
        self._statuses: dict[str, dict[str, Status]] = {POOLS: tools.statuses, SCHEDULES: tools.schedule_statuses}
        self._place_of: dict[str, Endpoint] = {}
        """By plural and key: where an object's jobs are."""
        self._left: set[str] = set()
        """URLs of endpoints that lost a pool or schedule: whether they are still needed is to be seen."""
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
            self._left.add(place.url)
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
            self._left.add(place.url)
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
                group.create_task(tools.cluster.url_secrets.run())
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
            self._left.add(former.url)
        if isinstance(served, Pool):
            self.tools.cluster.place(served, url)
        self._place_of[place] = endpoint
        endpoint.put(served)
        self._retire()

    def _retire(self) -> None:
        """A Redis that nobody needs any more (a changed password makes another URL) is left alone."""
        for url in list(self._left):
            endpoint = self.endpoints.get(url)
            if endpoint is None or not endpoint.empty:
                self._left.discard(url)
            elif endpoint.idle and endpoint.task is not None:
                endpoint.task.cancel()
                del self.endpoints[url]
                self._left.discard(url)

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
