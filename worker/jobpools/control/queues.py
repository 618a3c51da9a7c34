"""The control loop's view of one Redis endpoint: the port `Queues` of jobpools.control."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from jobpools.core.pools.facts import EndpointFacts
from jobpools.core.pools.specs import Pool
from jobpools.errors import StoreAuthError, StoreDataError, StoreError, StoreUnavailableError
from jobpools.rescue import Rescuer, dropped
from jobpools.store import draws, reads, writes
from jobpools.store.connect import Connection

log = logging.getLogger("jobpools.operator")
LEASE_MS = 10_000
"""The lease that a rescuer takes for as long as it settles."""
RENEWED_WITHIN = 5.0
"""Seconds after an outage in which the living renew leases that ran out meanwhile: nobody is called dead so long."""
PARTED = 120.0
"""Seconds for which a worker that was called gone stays locked out."""


class StoreQueues:
    """Reads all pools of an endpoint in one round trip; drains, releases and maintains their queues."""

    def __init__(self, connection: Connection, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`name`: who holds the leases of jobs that are being rescued, as in `operator`. `clock`: monotonic seconds."""
        self._connection = connection
        self._clock = clock
        self._rescuer = Rescuer(connection, draws.worker_id(name), lease_ms=LEASE_MS)
        self._away = False
        self._back = float("-inf")
        """When the latest outage was over, by the clock."""
        self._parted: dict[str, tuple[float, list[str]]] = {}
        """By worker id: when it was called gone, and the queues in which it is locked out."""

    async def observe(self, pools: Sequence[Pool]) -> EndpointFacts:
        """Raises StoreError."""
        names = {pool.meta.key: [queue.name for queue in pool.spec.queues] for pool in pools}
        with self._noticing():
            facts = await self._facts(names)
        if self._away and await self._writable(pools):
            self._away, self._back = False, self._clock()
        return facts

    @contextlib.contextmanager
    def _noticing(self) -> Iterator[None]:
        """Remember an outage: leases cannot be renewed in it, so those that expire say nothing of their workers."""
        try:
            yield
        except (StoreUnavailableError, StoreAuthError):
            self._away = True
            raise

    async def _writable(self, pools: Sequence[Pool]) -> bool:
        """Whether the server accepts a write: a replica answers every read."""
        queues = [queue.name for pool in pools for queue in pool.spec.queues]
        try:
            for queue in queues[:1]:
                await writes.probe(self._connection, queue)
        except StoreError as error:
            return not isinstance(error, (StoreUnavailableError, StoreAuthError))
        return True

    async def _facts(self, names: Mapping[str, Sequence[str]]) -> EndpointFacts:
        """A key of another type in one queue makes its pools unknown and nobody else: they are found by halves."""
        try:
            return await reads.endpoint_facts(self._connection, names)
        except StoreDataError as error:
            if len(names) < 2:  # noqa: PLR2004  # nothing to halve
                return EndpointFacts({}, {}, problems=dict.fromkeys(names, str(error)))
        pools = list(names)
        halves = pools[: len(pools) // 2], pools[len(pools) // 2 :]
        one, other = [await self._facts({pool: names[pool] for pool in half}) for half in halves]
        return EndpointFacts(
            queues={**one.queues, **other.queues},
            heartbeats={**one.heartbeats, **other.heartbeats},
            warnings=one.warnings or other.warnings,
            problems={**one.problems, **other.problems},
            now=other.now if one.now is None else one.now,
        )

    async def pause(self, pool: Pool, workers: Sequence[str]) -> None:
        """They may claim no more, whatever they hold."""
        await writes.pause(self._connection, [queue.name for queue in pool.spec.queues], workers)

    async def drain(self, pool: Pool, workers: Sequence[str]) -> tuple[str, ...]:
        """Whom of them it got: those that hold no lease."""
        queues = [queue.name for queue in pool.spec.queues]
        return tuple([worker for worker in workers if await writes.drain(self._connection, queues, worker)])

    async def undrain(self, pool: Pool, workers: Sequence[str]) -> None:
        """Give the lock back."""
        queues = [queue.name for queue in pool.spec.queues]
        for worker in workers:
            await writes.undrain(self._connection, queues, worker)

    async def release(self, pool: Pool, names: Sequence[str]) -> int:
        """Settle as crashed what gone workers (by host name) still hold.

        One that was called gone may live for a moment, with free slots now: it is locked out first, else it claims
        again what it loses, and then dies with it. Crash window: if we end before `_forget_parted`, its id stays among
        the draining ones, where it does no harm, until that set runs out.
        """
        queues = [queue.name for queue in pool.spec.queues]
        listed = await reads.workers(self._connection, pool.meta.key, queues)
        gone = [each.worker for each in listed if each.host in names]
        await writes.pause(self._connection, queues, gone)
        moved = 0
        for queue in queues:
            moved += await self._rescue(pool, queue, names)
        await writes.unlist(self._connection, pool.meta.key, gone)
        await self._forget_parted()
        self._parted |= {worker: (self._clock(), queues) for worker in gone}
        return moved

    async def _forget_parted(self) -> None:
        over = self._clock() - PARTED
        for worker in [worker for worker, (at, _) in self._parted.items() if at <= over]:
            await writes.undrain(self._connection, self._parted.pop(worker)[1], worker)

    async def maintain(self, pool: Pool) -> int:
        """Promote due jobs, settle as crashed what expired leases held, forget what is over."""
        moved = 0
        with self._noticing():
            for queue in pool.spec.queues:
                if self._away or self._clock() < self._back + RENEWED_WITHIN:
                    moved += (await self._rescuer.promote(queue.name, pool.spec.queue.keep)).promoted
                else:
                    moved += await self._rescue(pool, queue.name, ())
        return moved

    async def _rescue(self, pool: Pool, queue: str, hosts: Sequence[str]) -> int:
        limit = pool.spec.job.max_crashes
        swept = await self._rescuer.sweep(queue, holders=hosts, max_crashes=lambda _: limit, keep=pool.spec.queue.keep)
        if swept.dropped:
            log.warning("%s", dropped(queue, swept.dropped, pool.spec.queue.keep_dead))
        return len(swept.rescued) + swept.promoted
