"""Two environments for the contract of the port Queues: a real Valkey, and the fakes of the core's tests."""

import time
from typing import Protocol

from jobpools.control.ports import Queues
from jobpools.core.pools.facts import Heartbeat
from jobpools.core.pools.specs import Pool
from jobpools.core.text.names import WorkerId
from jobpools.store.connection import Connection, connect
from jobpools.store.heartbeats import write_heartbeat
from jobpools.store.lease_ids import lease_suffix_of
from jobpools.store.step import settle_and_claim
from tests.store.conftest import sending
from tests.support.fakes import LEASE, FakeQueues, Worker, World
from tests.support.queues import operator_queues
from tests.support.sending import enqueue_jobs

POOL = Pool.model_validate(
    {"meta": {"name": "shop"}, "spec": {"app": "shop:app", "queues": ["emails", "reports"], "concurrency": 2}}
)


class Stage(Protocol):
    """What a test does apart from calling the port."""

    queues: Queues

    async def enqueue(self, queue: str, *, delay: float = 0.0) -> None:
        """Enqueue one job, due after `delay` seconds."""

    async def claim(self, worker: str, queue: str) -> int:
        """Let a worker (by id) claim one job; return 1, or 0 if there is no job or it must not claim."""

    async def report(self, worker: str, busy: int) -> None:
        """Send a heartbeat of the worker."""

    async def leases_expire(self) -> None:
        """Let all present leases expire."""

    async def jobs_fall_due(self) -> None:
        """Make all scheduled jobs due."""

    async def vanish(self) -> None:
        """Make the server unreachable."""

    async def close(self) -> None: ...


class StoreStage:
    """A real server, whose clock cannot be set: expiry times are changed instead."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._store = connect(url)
        self._reachable: Connection | None = None
        """The connection to the real server after `vanish`."""
        self.queues: Queues = operator_queues(self._store)
        self._number = 0

    async def enqueue(self, queue: str, *, delay: float = 0.0) -> None:
        self._number += 1
        job = sending(f"job{self._number}", delay=delay, queue=queue)
        assert await enqueue_jobs(self._store, [job]) == [True]

    async def claim(self, worker: str, queue: str) -> int:
        self._number += 1
        lease_suffix = lease_suffix_of(worker, self._number)
        return len(
            (
                await settle_and_claim(self._store, queue, worker, claim=1, lease_suffix=lease_suffix, lease_ms=60_000)
            ).ids
        )

    async def report(self, worker: str, busy: int) -> None:
        now = time.time()
        idle_since = None if busy else now
        heartbeat = Heartbeat(WorkerId(worker), POOL.meta.key, 2, busy, now, now, idle_since, draining=False)
        await write_heartbeat(self._store, heartbeat)

    async def leases_expire(self) -> None:
        await self._rescore("leases")

    async def jobs_fall_due(self) -> None:
        await self._rescore("scheduled:normal")

    async def _rescore(self, part: str) -> None:
        for queue in POOL.spec.queues:
            key = f"jobpools:{{{queue.name}}}:{part}"
            for element in await self._store.execute("ZRANGE", key, 0, -1):
                await self._store.execute("ZADD", key, 1, element)

    async def vanish(self) -> None:
        self._reachable, self._store = self._store, connect("redis://127.0.0.1:1/0")
        self.queues = operator_queues(self._store)

    async def close(self) -> None:
        await self._store.aclose()
        if self._reachable is not None:
            await self._reachable.aclose()


class FakeStage:
    """The fake in memory, with its own clock."""

    def __init__(self) -> None:
        self.world = World()
        self.world.pools[POOL.meta.key] = self.world.ensured[POOL.meta.key] = POOL
        self._fake = FakeQueues(self.world)
        self.queues: Queues = self._fake

    async def enqueue(self, queue: str, *, delay: float = 0.0) -> None:
        self.world.enqueue(queue, seconds=1000, delay=delay)

    async def claim(self, worker: str, queue: str) -> int:
        found = self._worker(worker)
        before = len(found.running)
        found.slots = before + 1
        self.world.claim(found, queue)
        return len(found.running) - before

    async def report(self, worker: str, busy: int) -> None:
        found = self._worker(worker)
        assert len(found.running) == busy
        found.slots = 2
        found.idle_since = None if busy else self.world.now

    def _worker(self, worker: str) -> Worker:
        known = next((each for each in self.world.workers if each.id == worker), None)
        if known is None:
            known = Worker(
                worker.rpartition(".")[0], WorkerId(worker), POOL.meta.key, 2, self.world.now, self.world.now
            )
            self.world.workers.append(known)
        return known

    async def leases_expire(self) -> None:
        self.world.now += LEASE + 1

    async def jobs_fall_due(self) -> None:
        self.world.now += 3600

    async def vanish(self) -> None:
        self._fake.away = True

    async def close(self) -> None: ...
