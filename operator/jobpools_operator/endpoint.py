"""One Redis endpoint: the pools and schedules whose jobs are there, and the subscription that reports new jobs."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from jobpools.control.code_schedules import CodeScheduler
from jobpools.control.ports import Cluster
from jobpools.control.queues import StoreQueues
from jobpools.control.reconcile import Reconciler
from jobpools.control.schedules import ScheduleEngine
from jobpools.core.backoff import Backoff
from jobpools.core.pools.memory import Memory
from jobpools.core.pools.specs import Pool
from jobpools.core.schedules.specs import Schedule
from jobpools.errors import StoreError
from jobpools.store import wakeups
from jobpools.store.connection import Connection, connect
from jobpools.store.schedules import StoreSchedules
from jobpools.store.translation import safe_url
from jobpools_operator.kinds import Kind
from jobpools_operator.planner import PoolPlanner
from jobpools_operator.reporter import Counters, Reporter
from jobpools_operator.statuses import Statuses

BACKOFF = Backoff(initial=0.25, maximum=5.0)
"""Delays until a lost subscription is tried again."""

log = logging.getLogger("jobpools.operator")


@dataclass(frozen=True)
class EndpointContext:
    """The parts that all endpoints of an operator use."""

    cluster: Cluster
    reporter: Reporter
    statuses: Statuses
    counters: Counters
    clock: Callable[[], float] = time.monotonic
    """Monotonic seconds."""
    memories: dict[str, Memory] = field(default_factory=dict[str, Memory])
    """By pool key: what one pass of this term leaves for the next, also when the pool moves to another endpoint."""


class Endpoint:
    """One Redis endpoint, with its pools, its schedules and its subscription."""

    def __init__(self, url: str, connection: Connection, planner: PoolPlanner, engine: ScheduleEngine) -> None:
        self.url = url
        self._code_scheduler = CodeScheduler(connection)
        self._connection, self._planner, self._engine = connection, planner, engine

    @classmethod
    def open(cls, url: str, context: EndpointContext) -> "Endpoint":
        """Return the endpoint of this URL; `run` connects. Raises ConfigurationError when it is not a Redis URL."""
        connection = connect(url)
        queues = StoreQueues(connection, "operator")
        reported = context.statuses.of_kind(Kind.POOL)
        reconciler = Reconciler(context.cluster, queues, context.reporter, context.memories, reported)
        engine = ScheduleEngine(StoreSchedules(connection), context.reporter)
        return cls(url, connection, PoolPlanner(reconciler, context.counters, context.clock), engine)

    def put(self, managed: Pool | Schedule, reported: dict[str, object] | None) -> None:
        """Manage this pool or schedule from now on. `reported`: its last reported status."""
        if isinstance(managed, Pool):
            self._planner.put(managed)
        else:
            self._engine.put(managed, reported)

    def drop(self, managed: Pool | Schedule, *, forget: bool = True) -> None:
        """Stop managing this pool or schedule. `forget`: also delete the schedule's state in Redis."""
        if isinstance(managed, Pool):
            self._planner.drop(managed.meta.key)
        else:
            self._engine.drop(managed.meta.key, forget=forget)

    def has(self, managed: Pool | Schedule) -> bool:
        """Return whether this endpoint manages exactly this object."""
        if isinstance(managed, Pool):
            return self._planner.pools.get(managed.meta.key) == managed
        return self._engine.schedules.get(managed.meta.key) == managed

    @property
    def is_empty(self) -> bool:
        """Return whether it has no pool and no schedule; the state of a deleted schedule may still be in Redis."""
        return not self._planner.pools and not self._engine.schedules

    @property
    def is_idle(self) -> bool:
        """Return whether it has nothing left to do."""
        return not self._planner.pools and self._engine.is_idle

    def touch(self, pool_key: str) -> None:
        """Make a pass of the pool due: its Deployment or pods changed."""
        self._planner.touch(pool_key)

    async def run(self) -> None:
        """Listen for new jobs, run passes and fire schedules, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen())
                group.create_task(self._planner.run())
                group.create_task(self._engine.run())
                group.create_task(self._code_scheduler.run())
        finally:
            await self._connection.aclose()

    async def _listen(self) -> None:
        failures = 0
        while True:
            subscription = connect(self.url, timeout=None)
            try:
                async for queue in wakeups.listen(subscription):
                    failures = 0
                    if queue:
                        self._planner.touch_queue(queue)
                    else:
                        self._planner.touch_all()  # messages published without a subscription are lost
            except StoreError as error:
                delay = BACKOFF.full_delay(failures + 1)
                log.warning("subscription to new jobs: %s; trying again in %.1f s", error, delay)
            finally:
                with contextlib.suppress(StoreError):
                    await subscription.aclose()
            failures += 1
            await asyncio.sleep(BACKOFF.full_delay(failures))


class Endpoints:
    """The Redis endpoints in use, by URL. An endpoint runs from its first object until nothing is left on it."""

    def __init__(self, open_endpoint: Callable[[str], Endpoint], memories: dict[str, Memory]) -> None:
        """Open no endpoint yet.

        Args:
            open_endpoint: Returns the endpoint of a URL.
            memories: By pool key: what one pass leaves for the next.
        """
        self._open_endpoint, self._memories = open_endpoint, memories
        self._open: dict[str, tuple[Endpoint, asyncio.Task[None]]] = {}
        self._maybe_unused: set[str] = set()
        """URLs of endpoints that are new or lost an object."""

    def __len__(self) -> int:
        return len(self._open)

    def open(self, url: str, group: asyncio.TaskGroup) -> Endpoint:
        """Return the endpoint of this URL, and run it in `group` if it is new. Raises ConfigurationError."""
        if url not in self._open:
            endpoint = self._open_endpoint(url)
            self._maybe_unused.add(url)
            log.info("managing the queues of %s", safe_url(url))
            self._open[url] = endpoint, group.create_task(endpoint.run())
        return self._open[url][0]

    def drop(self, endpoint: Endpoint, managed: Pool | Schedule, *, forget: bool = True) -> None:
        """Remove the object from its endpoint. `forget`: also delete the schedule's state in Redis."""
        endpoint.drop(managed, forget=forget)
        self._maybe_unused.add(endpoint.url)

    def close_unused(self) -> None:
        """Close endpoints that manage nothing any more, as the one of the former URL after a changed password."""
        for url in list(self._maybe_unused):
            endpoint, task = self._open.get(url, (None, None))
            if endpoint is None or task is None or not endpoint.is_empty:
                self._maybe_unused.discard(url)
            elif endpoint.is_idle:
                task.cancel()
                del self._open[url]
                self._maybe_unused.discard(url)

    def forget_pool(self, key: str) -> None:
        """Drop what the passes of a deleted pool left."""
        self._memories.pop(key, None)

    def begin_term(self) -> None:
        """Drop what passes left in this operator's former term."""
        self._memories.clear()

    def end_term(self) -> None:
        """Forget the endpoints, whose tasks end with the term."""
        self._open.clear()
