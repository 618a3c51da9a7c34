"""The port Cluster: what the control loop relies on, with real processes and with the fake."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import pytest

from jobpools.control.ports import Cluster
from jobpools.core.objects import Meta
from jobpools.core.pools.facts import ClusterFacts
from jobpools.core.pools.specs import Pool, PoolSpec
from jobpools.local.cluster import ProcessCluster
from jobpools.local.worker_command import Command
from tests.support.fakes import FakeCluster, World
from tests.support.waiting import DEADLINE

WORKS = "import os, time; os.write(int(os.environ['JOBPOOLS_READY_FD']), b'1'); time.sleep(600)"


def pool(**spec: object) -> Pool:
    return Pool(meta=Meta(name="shop"), spec=PoolSpec.model_validate({"app": "a:b", "queues": ["emails"], **spec}))


POOL = pool()


class Stage(Protocol):
    cluster: Cluster

    async def time_passes(self) -> None:
        """Let a moment pass, in which workers start and end."""

    async def crash(self, name: str) -> None:
        """Kill this worker."""

    async def close(self) -> None: ...


class ProcessStage:
    """Real processes that act as workers towards the cluster: they report that they are ready, and end on a signal."""

    def __init__(self) -> None:
        self._processes = ProcessCluster(
            lambda of: Command((sys.executable, "-c", WORKS), (("CONCURRENCY", str(of.spec.concurrency)),)),
            notify=lambda _: None,
            on_output=lambda *_: None,
        )
        self.cluster: Cluster = self._processes

    async def time_passes(self) -> None:
        await asyncio.sleep(0.01)

    async def crash(self, name: str) -> None:
        os.kill(self._processes.pids[name], signal.SIGKILL)

    async def close(self) -> None:
        self._processes.stop()
        self._processes.kill()
        await self._processes.wait_ended()


class FakeStage:
    def __init__(self) -> None:
        self._world = World(start_delay=0.5)
        self.cluster: Cluster = FakeCluster(self._world)

    async def time_passes(self) -> None:
        self._world.advance(0.1)

    async def crash(self, name: str) -> None:
        self._world.crash(next(worker for worker in self._world.workers if worker.name == name))

    async def close(self) -> None: ...


@pytest.fixture(params=[ProcessStage, FakeStage], ids=["processes", "fake"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    made: Stage = request.param()
    yield made
    await made.close()


async def until(stage: Stage, holds: Callable[[ClusterFacts], bool], of: Pool = POOL) -> ClusterFacts:
    """Wait for facts that satisfy `holds`; their `gone` has the names of all passes."""
    gone: set[str] = set()
    async with asyncio.timeout(DEADLINE):
        while True:
            facts = await stage.cluster.observe(of)
            assert not gone & set(facts.gone), "a worker is reported as gone once"
            gone |= set(facts.gone)
            if holds(facts):
                return ClusterFacts(facts.replicas, facts.current, facts.workers, tuple(sorted(gone)))
            await stage.time_passes()


def ready(facts: ClusterFacts) -> list[str]:
    return [worker.name for worker in facts.workers if worker.ready and not worker.terminating]


def only(count: int) -> Callable[[ClusterFacts], bool]:
    return lambda facts: len(facts.workers) == len(ready(facts)) == count


async def scaled(stage: Stage, size: int) -> list[str]:
    """Scale to `size`; return the names of the ready workers."""
    await stage.cluster.ensure(POOL)
    await stage.cluster.scale(POOL, size)
    return ready(await until(stage, only(size)))


async def test_facts_of_a_pool_that_does_not_exist_are_unknown(stage: Stage) -> None:
    facts = await stage.cluster.observe(POOL)
    assert (facts.replicas, facts.current, facts.workers, facts.gone) == (None, False, (), ())


async def test_a_new_pool_has_no_workers_until_it_is_scaled(stage: Stage) -> None:
    await stage.cluster.ensure(POOL)
    facts = await stage.cluster.observe(POOL)
    assert (facts.replicas, facts.current, facts.workers) == (0, True, ())


async def test_scaling_starts_and_stops_exactly_as_many_workers_as_asked(stage: Stage) -> None:
    names = await scaled(stage, 3)
    assert len(set(names)) == 3
    await stage.cluster.scale(POOL, 3)
    facts = await until(stage, only(3))
    assert (sorted(ready(facts)), facts.replicas) == (sorted(names), 3)
    await stage.cluster.scale(POOL, 1)
    facts = await until(stage, only(1))
    assert set(facts.gone) | set(ready(facts)) == set(names)
    await stage.cluster.scale(POOL, 0)
    facts = await until(stage, only(0))
    assert (facts.replicas, len(facts.gone)) == (0, 1)


async def test_a_marked_worker_is_removed_first(stage: Stage) -> None:
    names = await scaled(stage, 3)
    await stage.cluster.mark(POOL, names[2:])
    await stage.cluster.mark(POOL, names[:1])
    assert [worker.name for worker in (await stage.cluster.observe(POOL)).workers if worker.marked] == names[:1]
    await stage.cluster.scale(POOL, 2)
    facts = await until(stage, only(2))
    assert (facts.gone, sorted(ready(facts))) == ((names[0],), sorted(names[1:]))


async def test_a_lost_worker_is_reported_and_replaced(stage: Stage) -> None:
    names = await scaled(stage, 2)
    await stage.crash(names[0])
    facts = await until(stage, lambda facts: len(ready(facts)) == 2 and names[0] not in ready(facts))
    assert facts.gone == (names[0],)
    assert names[1] in ready(facts)


async def test_a_new_spec_is_not_current_until_it_is_ensured(stage: Stage) -> None:
    await scaled(stage, 1)
    changed = pool(concurrency=7)
    facts = await stage.cluster.observe(changed)
    assert (facts.replicas, facts.current) == (1, False)
    await stage.cluster.ensure(changed)
    facts = await stage.cluster.observe(changed)
    assert (facts.replicas, facts.current) == (1, True), "the size does not change"
    await until(stage, only(1), changed)
