"""The whole imperative shell: observe, plan, apply, report, for a batch of pools of one Redis endpoint.

One pass of a pool never runs at the same time as another pass of it: the caller sees to that. Each pass starts from
what is seen; whatever an earlier one left half done, this one finds and goes on with.
"""

import asyncio
import logging
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from jobpools.control.observe import observe_cluster, observe_queues, pool_facts
from jobpools.control.ports import Cluster, Queues, Reporter
from jobpools.core import actions as act
from jobpools.core.facts import EndpointFacts, Memory
from jobpools.core.plan import REST, UNKNOWN, failed, plan_pool
from jobpools.core.specs import Pool

log = logging.getLogger(__name__)

AT_ONCE: Final = 32
"""How many pools' passes are in flight together."""

Status = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Shell:
    """What the passes of one batch share."""

    cluster: Cluster
    queues: Queues
    reporter: Reporter
    memories: MutableMapping[str, Memory]
    statuses: Mapping[str, Status | None]
    endpoint: EndpointFacts | None
    problem: str
    now: float


async def reconcile(  # noqa: PLR0913, PLR0917  the four beats' partners, and what is carried from pass to pass
    pools: Sequence[Pool],
    cluster: Cluster,
    queues: Queues,
    reporter: Reporter,
    memories: MutableMapping[str, Memory],
    statuses: Mapping[str, Status | None],
    now: float,
) -> dict[str, float]:
    """One pass over all of `pools`; by pool key, the seconds until each is worth another look.

    `memories` is read and written, by pool key; `statuses` holds each pool's status as last written. Never raises
    because of one pool: its failure is reported and holds up nobody else.
    """
    if not pools:
        return {}
    endpoint, problem = await observe_queues(pools, queues)
    shell = _Shell(cluster, queues, reporter, memories, statuses, endpoint, problem, now)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(pool: Pool) -> float:
        async with gate:
            return await _pass(pool, shell)

    waits = await asyncio.gather(*(one(pool) for pool in pools))
    return {pool.meta.key: wait for pool, wait in zip(pools, waits, strict=True)}


def next_look(waits: Mapping[str, float]) -> float:
    """Seconds until the first of them is worth another look."""
    return min(waits.values(), default=REST)


async def _pass(pool: Pool, shell: _Shell) -> float:
    key = pool.meta.key
    before = shell.statuses.get(key)
    try:
        # 1 facts
        seen, problem = await observe_cluster(pool, shell.cluster)
        facts = pool_facts(pool, shell.endpoint, seen, (problem, shell.problem))
        # 2 decision
        plan = plan_pool(pool, facts, shell.memories.get(key, Memory()), shell.now, before)
        # 3 effect
        there = seen is not None and seen.replicas is not None
        memory, trouble = await _apply(pool, plan, shell, there=there)
        shell.memories[key] = memory
        if trouble:
            plan = failed(plan, *trouble, before, shell.now)
        # 4 status and events, once
        await shell.reporter.report(pool, plan)
    except Exception:
        # A pool whose pass cannot even be thought through must not hold up the others; it is tried again.
        log.exception("%s: the pass failed", key)
        return UNKNOWN
    return plan.requeue_after


async def _apply(pool: Pool, plan: act.Plan, shell: _Shell, *, there: bool) -> tuple[Memory, tuple[str, str] | None]:
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


async def _carry_out(pool: Pool, action: act.Action, memory: Memory, shell: _Shell) -> Memory:
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
