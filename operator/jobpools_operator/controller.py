"""The controller: keeps each object on the Redis endpoint that has its jobs.

An object that cannot be placed on an endpoint gets a status that says why. An operator that does not lead only keeps
the registry current. When it is elected, `lead` places all objects; from then on it places the objects that change, and
those whose URL must be looked up again.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from jobpools.control.workqueue import DelayQueue
from jobpools.core.conditions import conditions
from jobpools.core.decision import Decision
from jobpools.core.objects import Meta
from jobpools.core.pools.specs import Pool
from jobpools.core.reasons import SharedReason
from jobpools.errors import ConfigurationError, ObservationError
from jobpools_operator.endpoint import Endpoint, Endpoints
from jobpools_operator.kinds import Kind, ObjectId
from jobpools_operator.kube.cluster import KubeCluster
from jobpools_operator.objects import Managed, Record, Registry, kind_of
from jobpools_operator.placement import Lookup, RedisUrls, decide_placement
from jobpools_operator.statuses import Status, Statuses

log = logging.getLogger("jobpools.operator")

LeaderTask = Callable[[], Coroutine[Any, Any, None]]
"""A task of the operator that runs while it leads, until cancelled."""


def not_ready_status(meta: Meta, ready: Decision[bool | None], now: float) -> Status:
    """Return the status of an object without an endpoint: only the condition Ready, because no figure is known.

    Args:
        meta: The object's metadata.
        ready: Its condition Ready: False, or None for Unknown.
        now: Seconds since the epoch.
    """
    return {
        "observedGeneration": meta.generation,
        "conditions": conditions({"Ready": ready}, None, meta.generation, now),
    }


class Controller:
    """All objects that the operator knows, and the queue of those to place on an endpoint."""

    def __init__(
        self,
        cluster: KubeCluster,
        statuses: Statuses,
        urls: RedisUrls,
        endpoints: Endpoints,
        clock: Callable[[], float],
    ) -> None:
        """Begin without any object. `clock`: monotonic seconds."""
        self._cluster, self._statuses, self._urls, self._clock = cluster, statuses, urls, clock
        self.endpoints = endpoints
        self.registry = Registry()
        self._to_place: DelayQueue[ObjectId] = DelayQueue(clock)
        self._is_leading = False

    def update(self, managed: Managed, status: Status) -> None:
        """Note an object whose spec is valid, as the API server has it. `status`: its `status` there."""
        object_id = ObjectId.of(kind_of(managed), managed.meta)
        record = self._record_of(object_id, managed.meta, status)
        if record.managed == managed:
            return  # only its status changed, and the operator itself wrote that
        record.meta, record.managed, record.rejection = managed.meta, managed, None
        self._to_place.put(object_id, self._clock())

    def reject(self, object_id: ObjectId, meta: Meta, status: Status, ready: Decision[bool | None]) -> None:
        """Note an object whose spec is invalid. Its workers, or its state in Redis, stay as they are.

        Args:
            object_id: The object.
            meta: Its metadata.
            status: Its `status`, as the API server has it.
            ready: Its condition Ready: why the spec is invalid.
        """
        record = self._record_of(object_id, meta, status)
        self._unplace(record, forget=False)
        record.meta, record.managed, record.rejection = meta, None, not_ready_status(meta, ready, time.time())
        if self._is_leading:
            self._statuses.put(object_id, record.rejection)

    def delete(self, object_id: ObjectId) -> None:
        """Forget a deleted object. Kubernetes deletes a pool's Deployment with it; its jobs stay queued."""
        record = self.registry.remove(object_id)
        self._statuses.forget(object_id)
        self._to_place.discard(object_id)
        if object_id.kind is Kind.POOL:
            self.endpoints.forget_pool(object_id.key)
            self._cluster.forget(object_id.key)
        if record is not None and record.endpoint is not None:
            self._unplace(record)
            self.endpoints.close_unused()

    def _record_of(self, object_id: ObjectId, meta: Meta, status: Status) -> Record:
        """Return the object's record, a new one for a new object, and note its status."""
        record = self.registry.get(object_id)
        if record is not None and record.meta.uid != meta.uid:
            self.delete(object_id)  # deleted and created again, and the watch showed only the new object
        if not self._is_leading or not self._statuses.is_known(object_id):
            self._statuses.observe(object_id, status)
        return self.registry.add(object_id, meta)

    def _unplace(self, record: Record, *, forget: bool = True) -> None:
        if record.endpoint is not None and record.managed is not None:
            self.endpoints.drop(record.endpoint, record.managed, forget=forget)
        record.endpoint = None

    async def lead(self, tasks: Sequence[LeaderTask]) -> None:
        """Reconcile all pools and schedules, until cancelled. `tasks` run meanwhile."""
        await self._cluster.wait_until_listed()
        self.endpoints.begin_term()
        try:
            async with asyncio.TaskGroup() as group:
                self._is_leading = True
                for task in tasks:
                    group.create_task(task())
                for object_id, record in self.registry.items():
                    if record.rejection is not None:
                        self._statuses.put(object_id, record.rejection)
                    else:
                        self._to_place.put(object_id, self._clock())
                group.create_task(self._follow_cluster())
                group.create_task(self._place_due_objects(group))
        finally:
            self._is_leading = False
            self.endpoints.end_term()
            for record in self.registry.values():
                record.endpoint = None

    async def _follow_cluster(self) -> None:
        """Make a pass due for each pool whose Deployment or pods changed."""
        while True:
            for key in await self._cluster.next_changes():
                record = self.registry.get(ObjectId(Kind.POOL, key))
                if record is not None and record.endpoint is not None:
                    record.endpoint.touch(key)

    async def _place_due_objects(self, group: asyncio.TaskGroup) -> None:
        while True:
            (object_id,) = await self._to_place.next_due(1)
            record = self.registry.get(object_id)
            if record is not None and record.managed is not None:
                await self._place(object_id, record, record.managed, group)

    async def _place(self, object_id: ObjectId, record: Record, managed: Managed, group: asyncio.TaskGroup) -> None:
        # 1 facts
        lookup = await self._read_url(managed, group)
        if self.registry.get(object_id) is record and record.managed is managed:  # otherwise it changed meanwhile
            # 2 decision
            redis, current = managed.spec.redis, record.endpoint
            reads_secret = redis is not None and redis.secret_key_ref is not None
            placement = decide_placement(lookup, is_placed=current is not None, reads_secret=reads_secret)
            # 3 effect
            if placement.check_after is not None:
                self._to_place.put(object_id, self._clock() + placement.check_after)
            if placement.problem:
                ready = Decision(None, SharedReason.REDIS_UNKNOWN, placement.problem)
                self._statuses.put(object_id, not_ready_status(managed.meta, ready, time.time()))
            if placement.url is not None:
                self._move(object_id, record, managed, self.endpoints.open(placement.url, group))
        self.endpoints.close_unused()

    async def _read_url(self, managed: Managed, group: asyncio.TaskGroup) -> Lookup:
        meta = managed.meta
        try:
            url = await self._urls.of(meta.namespace, managed.spec.redis)
            self.endpoints.open(url, group)  # raises ConfigurationError when it is not a Redis URL
        except (ConfigurationError, ObservationError) as error:
            log.warning("%s: %s", meta.key, error)
            return Lookup(None, str(error))
        return Lookup(url)

    def _move(self, object_id: ObjectId, record: Record, managed: Managed, endpoint: Endpoint) -> None:
        """Put the object on this endpoint, and remove it from its former one."""
        former = record.endpoint
        if former is endpoint and endpoint.has(managed):
            return
        if former is not None and former is not endpoint:
            self.endpoints.drop(former, managed)
        if isinstance(managed, Pool):
            self._cluster.place(managed, endpoint.url)
        record.endpoint = endpoint
        endpoint.put(managed, self._statuses.reported(object_id))
