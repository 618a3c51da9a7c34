"""The control loop's view of one Redis endpoint: the port `Queues` of jobpools.control."""

import time
from collections.abc import Callable, Mapping, Sequence

from jobpools.core.facts import EndpointFacts
from jobpools.core.job import Outcome, OutcomeKind, Priority
from jobpools.core.retry import Retry, settle
from jobpools.core.specs import Pool
from jobpools.errors import StoreDataError, StoreUnavailableError
from jobpools.store import codec, draws, reads, writes
from jobpools.store.connect import Connection

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
        self._worker = draws.worker_id(name)
        self._away = False
        self._back = float("-inf")
        """When the latest outage was over, by the clock."""
        self._parted: dict[str, tuple[float, list[str]]] = {}
        """By worker id: when it was called gone, and the queues in which it is locked out."""

    async def observe(self, pools: Sequence[Pool]) -> EndpointFacts:
        """Raises StoreError."""
        names = {pool.meta.key: [queue.name for queue in pool.spec.queues] for pool in pools}
        try:
            facts = await self._facts(names)
        except StoreUnavailableError:
            self._away = True
            raise
        if self._away:
            self._away, self._back = False, self._clock()
        return facts

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
        for queue in pool.spec.queues:
            if self._clock() < self._back + RENEWED_WITHIN:
                moved += (await self._rescue_some(pool, queue.name, (), limit=0))[1]
            else:
                moved += await self._rescue(pool, queue.name, ())
        return moved

    async def _rescue(self, pool: Pool, queue: str, hosts: Sequence[str]) -> int:
        moved, more = 0, True
        while more:
            taken, promoted = await self._rescue_some(pool, queue, hosts)
            moved, more = moved + taken + promoted, taken == writes.RESCUED_AT_ONCE
        return moved

    async def _rescue_some(
        self, pool: Pool, queue: str, hosts: Sequence[str], limit: int = writes.RESCUED_AT_ONCE
    ) -> tuple[int, int]:
        """(jobs taken over and settled, jobs promoted)."""
        tail = draws.tail(self._worker)
        found = await writes.rescue(self._connection, queue, tail=tail, lease_ms=LEASE_MS, limit=limit, hosts=hosts)
        if found.taken:
            # Crash window: the jobs are leased to us and not settled. If we end here, the leases expire and the next
            # rescue, by whomever, finds them: later, but not lost and not charged twice.
            settled = [self._settled(pool, each) for each in found.taken]
            await writes.step(
                self._connection, queue, self._worker, settled=settled, tail=tail, lease_ms=LEASE_MS, at=time.time()
            )
        return len(found.taken), found.promoted

    def _settled(self, pool: Pool, taken: writes.Taken) -> writes.Settled:
        return settle_crashed(taken, pool.spec.job.max_crashes, time.time(), draws.fraction())


def settle_crashed(taken: writes.Taken, max_crashes: int, now: float, jitter: float) -> writes.Settled:
    """What becomes of a job whose worker vanished: the same decision for a worker's janitor and for the operator."""
    priority = Priority.NORMAL
    retry = None
    try:
        envelope = codec.decode(taken.envelope)
        priority, retry = Priority(envelope.priority), envelope.retry
        max_crashes = max_crashes if envelope.max_crashes is None else envelope.max_crashes
    except StoreDataError as error:
        outcome = Outcome(OutcomeKind.UNRUNNABLE, message=str(error))
    else:
        outcome = Outcome(
            OutcomeKind.CRASHED, error="WorkerLost", message=f"worker {taken.former} vanished while it ran the job"
        )
    decision = settle(
        outcome, retry or Retry(), taken.history, now, jitter, max_crashes=max_crashes, worker=taken.former
    )
    return writes.Settled(taken.member, priority, decision.value)
