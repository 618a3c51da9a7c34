"""Two stages for the contract of the port Queues: a real Valkey, and the fake world of the core's tests."""

import time
from typing import Protocol

from jobpools.control.ports import Queues
from jobpools.control.queues import StoreQueues
from jobpools.core.pools.facts import Heartbeat
from jobpools.core.pools.specs import Pool
from jobpools.core.text.names import WorkerId
from jobpools.store.connection import connect
from jobpools.store.enqueue import enqueue_jobs
from jobpools.store.heartbeats import write_heartbeat
from jobpools.store.lease_ids import claim_suffix
from jobpools.store.step import settle_and_claim
from tests.store.conftest import sending
from tests.support.fakes import LEASE, FakeQueues, Worker, World

POOL = Pool.model_validate(
    {"meta": {"name": "shop"}, "spec": {"app": "shop:app", "queues": ["emails", "reports"], "concurrency": 2}}
)


class Stage(Protocol):
    """What a test does besides talking to the port."""

    queues: Queues

    async def enqueue(self, queue: str, *, delay: float = 0.0) -> None:
        """One job; with a delay it is for later."""

    async def claim(self, worker: str, queue: str) -> int:
        """How many jobs a worker (by id) takes: one, or none where there is none or it may not."""

    async def report(self, worker: str, busy: int) -> None:
        """The worker says that it is there."""

    async def leases_expire(self) -> None:
        """All that are held now are over."""

    async def jobs_fall_due(self) -> None:
        """All that were for later are for now."""

    async def vanish(self) -> None:
        """The server can be reached no more."""

    async def close(self) -> None: ...


class StoreStage:
    """A real server, whose clock cannot be set: expiry times are moved instead."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._store = connect(url)
        self.queues: Queues = StoreQueues(self._store, "operator")
        self._number = 0

    async def enqueue(self, queue: str, *, delay: float = 0.0) -> None:
        self._number += 1
        job = sending(f"job{self._number}", delay=delay, queue=queue)
        assert await enqueue_jobs(self._store, [job]) == [True]

    async def claim(self, worker: str, queue: str) -> int:
        self._number += 1
        lease_suffix = claim_suffix(worker, self._number)
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
        self._gone, self._store = self._store, connect("redis://127.0.0.1:1/0")
        self.queues = StoreQueues(self._store, "operator")

    async def close(self) -> None:
        await self._store.aclose()
        if hasattr(self, "_gone"):
            await self._gone.aclose()


class FakeStage:
    """In memory, with a clock of its own."""

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
