"""The whole imperative shell: observe, plan, apply, report, for pools of one Redis endpoint.

Their queues are read together; from then on each pool's pass is on its own, and may take as long as its cluster does.
One pass of a pool never runs at the same time as another pass of it: the caller sees to that. Each pass starts from
what is seen; whatever an earlier one left half done, this one finds and goes on with.
"""

import asyncio
import logging
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jobpools.control.observe import observe_cluster, observe_queues, pool_facts
from jobpools.control.ports import Cluster, Queues, Reporter
from jobpools.core.pools import actions as act
from jobpools.core.pools.facts import EndpointFacts, Memory, Problem
from jobpools.core.pools.plan import REST, UNKNOWN, failed, plan_pool
from jobpools.core.pools.specs import Pool

log = logging.getLogger(__name__)

Status = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shell:
    """The partners of the four beats, and what is carried from pass to pass."""

    cluster: Cluster
    queues: Queues
    reporter: Reporter
    memories: MutableMapping[str, Memory]
    """By pool key; read and written."""
    statuses: Mapping[str, Status | None]
    """By pool key: the status as last written."""

    async def read(self, pools: Sequence[Pool], now: float) -> "Reading":
        """What the queues of all `pools` say, for a pass of each. `now`: seconds since the epoch. Raises nothing."""
        endpoint, problem = await observe_queues(pools, self.queues)
        return Reading(None if endpoint is None else endpoint.by_clock(now), problem, now)

    async def run(self, pool: Pool, reading: "Reading") -> float:
        """One pass; the seconds until the pool is worth another look. Its failure is reported, and raises nothing."""
        key = pool.meta.key
        before = self.statuses.get(key)
        try:
            # 1 facts
            seen, problem = await observe_cluster(pool, self.cluster)
            facts = pool_facts(pool, reading.endpoint, seen, (problem, reading.problem))
            # 2 decision
            plan = plan_pool(pool, facts, self.memories.get(key, Memory()), reading.now, before)
            # 3 effect
            there = seen is not None and seen.replicas is not None
            memory, trouble = await _apply(pool, plan, self, there=there)
            self.memories[key] = memory
            if trouble:
                missing = not there and trouble[0] == act.EnsurePool.__name__
                plan = failed(plan, *trouble, before, reading.now, missing=missing)
            # 4 status and events, once
            await self.reporter.report(pool, plan)
        except Exception:
            # A pool whose pass cannot even be thought through must not hold up the others; it is tried again.
            log.exception("%s: the pass failed", key)
            return UNKNOWN
        return plan.requeue_after


@dataclass(frozen=True, slots=True)
class Reading:
    """The queues at one moment."""

    endpoint: EndpointFacts | None
    problem: Problem | None
    """Why `endpoint` is None."""
    now: float


async def reconcile(pools: Sequence[Pool], shell: Shell, now: float) -> dict[str, float]:
    """One pass over all of `pools`; by pool key, the seconds until each is worth another look."""
    if not pools:
        return {}
    reading = await shell.read(pools, now)
    waits = await asyncio.gather(*(shell.run(pool, reading) for pool in pools))
    return {pool.meta.key: wait for pool, wait in zip(pools, waits, strict=True)}


def next_look(waits: Mapping[str, float]) -> float:
    """Seconds until the first of them is worth another look."""
    return min(waits.values(), default=REST)


async def _apply(pool: Pool, plan: act.Plan, shell: Shell, *, there: bool) -> tuple[Memory, tuple[str, str] | None]:
    """Carry out the actions in order; the memory after them, and which one failed first and why.

    A spec that the cluster refuses keeps nobody from working and scaling as before; but what is not `there` and cannot
    be made is not ours to scale.
    """
    memory, trouble = plan.memory, None
    for action in plan.actions:
        try:
            memory = await _carry_out(pool, action, memory, shell)
        except Exception as error:  # noqa: BLE001  adapters fail in their own ways; the next pass starts from facts
            name, why = type(action).__name__, (str(error) or type(error).__name__).splitlines()[0]
            log.debug("%s: %s failed: %s", pool.meta.key, name, why)  # the event says it once, the status for as long
            trouble = trouble or (name, why)
            if not (there and isinstance(action, act.EnsurePool)):
                break
    return memory, trouble


async def _carry_out(pool: Pool, action: act.Action, memory: Memory, shell: Shell) -> Memory:
    cluster, queues = shell.cluster, shell.queues
    match action:
        case act.EnsurePool():
            await cluster.ensure(pool)
        case act.SetReplicas(replicas):
            log.info("%s: %d workers", pool.meta.key, replicas)
            await cluster.scale(pool, replicas)
        case act.MarkWorkers(names):
            await cluster.mark(pool, names)
        case act.DrainWorkers(workers):
            # Crash window: locked in Redis, and the answer not remembered. The next pass locks again before it trusts.
            got = await queues.drain(pool, workers)
            return replace(memory, locked=tuple(sorted({*memory.locked, *got})))
        case _:
            await _tend(pool, action, queues)
    return memory


async def _tend(pool: Pool, action: act.Action, queues: Queues) -> None:
    match action:
        case act.PauseWorkers(workers):
            await queues.pause(pool, workers)
        case act.UndrainWorkers(workers):
            await queues.undrain(pool, workers)
        case act.ReleaseLeases(names):
            await queues.release(pool, names)
        case act.MaintainQueues():
            await queues.maintain(pool)
        case _:
            raise AssertionError(action)
