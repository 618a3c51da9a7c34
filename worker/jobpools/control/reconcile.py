"""The passes of the pools of one Redis endpoint: observe, plan, apply, report.

The queues of all pools are read together. From then on each pool's pass runs by itself and may take as long as its
cluster does. The caller makes sure that no two passes of a pool overlap. Each pass starts from what it observes, so it
also continues what an earlier pass left unfinished.
"""

import asyncio
import logging
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jobpools.control.observe import observe_cluster, observe_queues, pool_facts
from jobpools.control.ports import Cluster, Queues, Reporter
from jobpools.core.pools import actions
from jobpools.core.pools.facts import EndpointFacts, Problem
from jobpools.core.pools.memory import Memory
from jobpools.core.pools.plan import Plan, plan_pool, with_failed_action
from jobpools.core.pools.requeue import IDLE_INTERVAL, RETRY_INTERVAL
from jobpools.core.pools.specs import Pool
from jobpools.core.text.error_text import first_line

log = logging.getLogger(__name__)

Status = Mapping[str, Any]


FAILURES: Mapping[type[actions.Action], str] = {
    actions.EnsurePool: "the spec could not be applied",
    actions.SetReplicas: "the number of workers could not be set",
    actions.MarkWorkers: "the workers to remove could not be marked",
    actions.DrainWorkers: "idle workers could not be drained",
    actions.UndrainWorkers: "drained workers could not be released",
    actions.ForceDrainWorkers: "the workers could not be paused",
    actions.ReleaseLeases: "the jobs of ended workers could not be rescued",
    actions.SetLimits: "the limits of the queues could not be set",
    actions.WriteSettings: "the settings of running workers could not be written",
    actions.MaintainQueues: "due jobs and expired leases could not be processed",
}
"""How a failed action is reported."""


@dataclass(frozen=True, slots=True)
class QueueReading:
    """The queues of an endpoint at one moment."""

    endpoint: EndpointFacts | None
    """None: they could not be read."""
    problem: Problem | None
    """Why they could not be read."""
    now: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """The first action of a plan that failed."""

    action: actions.Action
    error: str

    def __str__(self) -> str:
        return f"{FAILURES[type(self.action)]}: {self.error}"


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Runs the passes of an endpoint's pools, and keeps what a pass needs to know of the one before."""

    cluster: Cluster
    queues: Queues
    reporter: Reporter
    memories: MutableMapping[str, Memory]
    """By pool key; read and written."""
    statuses: Mapping[str, Status | None]
    """By pool key: the status as last written, in the form of the CRD."""

    async def read(self, pools: Sequence[Pool], now: float) -> QueueReading:
        """Read the queues of all `pools` for a pass of each. `now`: seconds since the epoch. Raises nothing."""
        endpoint, problem = await observe_queues(pools, self.queues)
        return QueueReading(None if endpoint is None else endpoint.by_clock(now), problem, now)

    async def run_pass(self, pool: Pool, reading: QueueReading) -> float:
        """Run one pass; return the seconds until the next one is due. Raises nothing: failures are reported."""
        key = pool.meta.key
        before = self.statuses.get(key)
        try:
            # 1 facts
            cluster, problem = await observe_cluster(pool, self.cluster)
            facts = pool_facts(pool, reading.endpoint, cluster, (problem, reading.problem))
            # 2 decision
            plan = plan_pool(pool, facts, self.memories.get(key, Memory()), reading.now, before)
            # 3 effect
            exists = cluster is not None and cluster.replicas is not None
            memory, failure = await self._apply(pool, plan, exists=exists)
            self.memories[key] = memory
            if failure is not None:
                is_missing = not exists and isinstance(failure.action, actions.EnsurePool)
                plan = with_failed_action(plan, str(failure), before, reading.now, is_missing=is_missing)
            # 4 status and events, once
            await self.reporter.report(pool, plan)
        except Exception:
            # An unexpected error in one pool's pass must not stop the others. The pass is tried again.
            log.exception("%s: the pass failed", key)
            return RETRY_INTERVAL
        return plan.requeue_after

    async def _apply(self, pool: Pool, plan: Plan, *, exists: bool) -> tuple[Memory, _Failure | None]:
        """Carry out the actions in order; return the memory after them and the first failure.

        A spec that the cluster refuses does not stop an existing pool from being scaled. A Deployment that does not
        exist and cannot be created is not scaled: one of this name may belong to another owner.
        """
        memory, failure = plan.memory, None
        for action in plan.actions:
            try:
                memory = await self._carry_out(pool, action, memory)
            except Exception as error:  # noqa: BLE001  adapters have errors of their own; the next pass starts from facts
                failed = _Failure(action, first_line(error))
                log.debug("%s: %s", pool.meta.key, failed)  # the event and the status report it
                failure = failure or failed
                if not (exists and isinstance(action, actions.EnsurePool)):
                    break
        return memory, failure

    async def _carry_out(self, pool: Pool, action: actions.Action, memory: Memory) -> Memory:
        match action:
            case actions.EnsurePool():
                await self.cluster.ensure(pool)
            case actions.SetReplicas(replicas):
                log.info("%s: setting the number of workers to %d", pool.meta.key, replicas)
                await self.cluster.scale(pool, replicas)
            case actions.MarkWorkers(names):
                await self.cluster.mark(pool, names)
            case actions.DrainWorkers(workers):
                # Crash window: drained in Redis, and the answer lost. The next pass drains them again before it relies
                # on the locks.
                drained = await self.queues.drain(pool, workers)
                return replace(memory, locked=tuple(sorted({*memory.locked, *drained})))
            case actions.WriteSettings(version):
                await self.queues.write_settings(pool)
                return replace(memory, settings=version)
            case _:
                await self._change_queues(pool, action)
        return memory

    async def _change_queues(self, pool: Pool, action: actions.Action) -> None:
        match action:
            case actions.ForceDrainWorkers(workers):
                await self.queues.pause(pool, workers)
            case actions.UndrainWorkers(workers):
                await self.queues.undrain(pool, workers)
            case actions.ReleaseLeases(names):
                await self.queues.release(pool, names)
            case actions.SetLimits(queues):
                await self.queues.set_limits(pool, queues)
            case actions.MaintainQueues():
                await self.queues.maintain(pool)
            case _:
                raise AssertionError(action)


async def reconcile(pools: Sequence[Pool], reconciler: Reconciler, now: float) -> dict[str, float]:
    """Run one pass over all of `pools`; return by pool key the seconds until its next pass is due."""
    if not pools:
        return {}
    reading = await reconciler.read(pools, now)
    waits = await asyncio.gather(*(reconciler.run_pass(pool, reading) for pool in pools))
    return {pool.meta.key: wait for pool, wait in zip(pools, waits, strict=True)}


def seconds_to_next_pass(waits: Mapping[str, float]) -> float:
    """Return the seconds until the first of the pools' next passes is due."""
    return min(waits.values(), default=IDLE_INTERVAL)
