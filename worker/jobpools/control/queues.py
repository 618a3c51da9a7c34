"""The port `Queues` of the control loop on Redis."""

import contextlib
import logging
import time
from collections.abc import Callable, Generator, Mapping, Sequence

from jobpools.core.pools.facts import EndpointFacts
from jobpools.core.pools.specs import Pool
from jobpools.errors import StoreAuthError, StoreDataError, StoreError, StoreUnavailableError
from jobpools.pool_settings import live_settings
from jobpools.rescue import Rescuer, SweepResult, describe_dropped
from jobpools.store import draws
from jobpools.store.connection import Connection
from jobpools.store.drain_locks import force_drain_locks, release_drain_locks, take_drain_locks
from jobpools.store.endpoint_facts import read_endpoint, read_workers
from jobpools.store.heartbeats import unlist_workers
from jobpools.store.pool_settings import write_settings
from jobpools.store.queue_policies import set_limits
from jobpools.store.server import probe

log = logging.getLogger("jobpools.dead_letters")
LEASE_MS = 10_000
"""Milliseconds of the lease that a rescuer holds while it settles."""
RENEWAL_GRACE = 5.0
"""Seconds after an outage or a start in which workers may renew leases that expired meanwhile: no lease is rescued
before. An operator that starts does not know whether an outage has just ended."""
LOCKOUT = 120.0
"""Seconds for which a worker that was reported as ended may claim no jobs."""


class StoreQueues:
    """Reads all pools of an endpoint in one round trip; drains, releases and maintains their queues."""

    def __init__(self, connection: Connection, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Prepare the port. `name`: host under which jobs are leased during a rescue. `clock`: monotonic seconds."""
        self._connection = connection
        self._clock = clock
        self._rescuer = Rescuer(connection, draws.worker_id(name), lease_ms=LEASE_MS)
        self._is_unreachable = False
        self._reachable_since = clock()
        """When the latest outage ended by `clock`, or the start."""
        self._locked_out: dict[str, tuple[float, list[str]]] = {}
        """By worker id: when it was reported as ended, and the queues in which it may not claim."""

    async def observe(self, pools: Sequence[Pool]) -> EndpointFacts:
        """Read the queues and heartbeats of all pools. Raises StoreError."""
        queues = {pool.meta.key: [queue.name for queue in pool.spec.queues] for pool in pools}
        with self._noting_outages():
            facts = await self._read(queues)
        if self._is_unreachable and await self._accepts_writes(pools):
            self._is_unreachable, self._reachable_since = False, self._clock()
        return facts

    @contextlib.contextmanager
    def _noting_outages(self) -> Generator[None]:
        """Note an outage: leases cannot be renewed during it, so they expire although their workers live."""
        try:
            yield
        except (StoreUnavailableError, StoreAuthError):
            self._is_unreachable = True
            raise

    async def _accepts_writes(self, pools: Sequence[Pool]) -> bool:
        """Return whether the server accepts a write: a replica answers every read."""
        queues = [queue.name for pool in pools for queue in pool.spec.queues]
        try:
            for queue in queues[:1]:
                await probe(self._connection, queue)
        except StoreError as error:
            return not isinstance(error, (StoreUnavailableError, StoreAuthError))
        return True

    async def _read(self, queues: Mapping[str, Sequence[str]]) -> EndpointFacts:
        """Read all pools. If a key has the wrong type, find by bisection the pools that cannot be read."""
        try:
            return await read_endpoint(self._connection, queues)
        except StoreDataError as error:
            if len(queues) < 2:  # noqa: PLR2004  # nothing to halve
                return EndpointFacts({}, {}, problems=dict.fromkeys(queues, str(error)))
        pools = list(queues)
        halves = pools[: len(pools) // 2], pools[len(pools) // 2 :]
        one, other = [await self._read({pool: queues[pool] for pool in half}) for half in halves]
        return EndpointFacts(
            queues={**one.queues, **other.queues},
            heartbeats={**one.heartbeats, **other.heartbeats},
            warnings=one.warnings or other.warnings,
            problems={**one.problems, **other.problems},
            now=other.now if one.now is None else one.now,
        )

    async def pause(self, pool: Pool, workers: Sequence[str]) -> None:
        """Stop these workers from claiming, even those that hold leases."""
        await force_drain_locks(self._connection, [queue.name for queue in pool.spec.queues], workers)

    async def drain(self, pool: Pool, workers: Sequence[str]) -> tuple[str, ...]:
        """Stop the workers that hold no lease from claiming; return their ids."""
        queues = [queue.name for queue in pool.spec.queues]
        return tuple([worker for worker in workers if await take_drain_locks(self._connection, queues, worker)])

    async def undrain(self, pool: Pool, workers: Sequence[str]) -> None:
        """Let these workers claim again."""
        queues = [queue.name for queue in pool.spec.queues]
        for worker in workers:
            await release_drain_locks(self._connection, queues, worker)

    async def release(self, pool: Pool, names: Sequence[str]) -> int:
        """Settle as crashed what ended workers (by host name) still hold.

        A worker that was reported as ended may still live for a moment, with free slots. It is locked out first;
        otherwise it would claim the same jobs again and die with them. Crash window: if this process ends before
        `_end_lockouts`, the id stays in the set of draining workers until that set expires, which does no harm.
        """
        queues = [queue.name for queue in pool.spec.queues]
        listed = await read_workers(self._connection, pool.meta.key, queues)
        gone = [each.worker for each in listed if each.host in names]
        await force_drain_locks(self._connection, queues, gone)
        moved = 0
        for queue in queues:
            moved += await self._rescue(pool, queue, names)
        await unlist_workers(self._connection, pool.meta.key, gone)
        await self._end_lockouts()
        self._locked_out |= {worker: (self._clock(), queues) for worker in gone}
        return moved

    async def _end_lockouts(self) -> None:
        expired = self._clock() - LOCKOUT
        for worker in [worker for worker, (at, _) in self._locked_out.items() if at <= expired]:
            await release_drain_locks(self._connection, self._locked_out.pop(worker)[1], worker)

    async def set_limits(self, pool: Pool, queues: Sequence[str]) -> None:
        """Set the limits of the pool's spec in these queues."""
        for queue in queues:
            await set_limits(self._connection, queue, pool.spec.queue)

    async def write_settings(self, pool: Pool) -> None:
        """Write the settings that the pool's running workers follow."""
        version, variables = live_settings(pool)
        await write_settings(self._connection, pool.meta.key, version, variables)

    async def maintain(self, pool: Pool) -> int:
        """Promote due jobs, settle as crashed the jobs of expired leases, and trim ended jobs."""
        with self._noting_outages():
            return sum([await self._maintain(pool, queue.name) for queue in pool.spec.queues])

    async def _maintain(self, pool: Pool, queue: str) -> int:
        if not self._is_unreachable and self._clock() >= self._reachable_since + RENEWAL_GRACE:
            return await self._rescue(pool, queue, ())
        return _moved(pool, await self._rescuer.promote(queue, pool.spec.queue.keep))

    async def _rescue(self, pool: Pool, queue: str, hosts: Sequence[str]) -> int:
        limit, keep = pool.spec.job.max_crashes, pool.spec.queue.keep
        return _moved(pool, await self._rescuer.sweep(queue, holders=hosts, max_crashes=lambda _: limit, keep=keep))


def _moved(pool: Pool, swept: SweepResult) -> int:
    """Log the dead letters that were dropped, and return the number of jobs moved."""
    if swept.dropped:
        log.warning("%s", describe_dropped(swept.queue, swept.dropped, pool.spec.queue.keep))
    return len(swept.rescued) + swept.promoted
