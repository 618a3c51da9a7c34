"""Worker processes as the control loop's cluster: real processes that stand for workers."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from jobpools.core.objects import Meta
from jobpools.core.pools.facts import ClusterFacts, Problem
from jobpools.core.pools.specs import Pool, PoolSpec
from jobpools.local import cluster
from jobpools.local.cluster import ProcessCluster
from jobpools.local.worker_command import Command
from tests.support.waiting import PATIENCE

READY = "import os, time; print('at work', flush=True); os.write(int(os.environ['JOBPOOLS_READY_FD']), b'1')"
WORKS = f"{READY}; time.sleep(600)"
BREAKS = "import sys; sys.exit('jobpools: no such app')"


def pool(**spec: object) -> Pool:
    return Pool(meta=Meta(name="emails"), spec=PoolSpec.model_validate({"app": "a:b", "queues": ["emails"], **spec}))


class Stage:
    """A cluster whose workers run the given code."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.said: list[str] = []
        self.told: list[str] = []
        self.cluster = ProcessCluster(
            lambda pool: Command((sys.executable, "-c", self.code), (("CONCURRENCY", str(pool.spec.concurrency)),)),
            say=self.said.append,
            told=lambda name, line: self.told.append(f"{name.split('-')[0]} | {line}"),
        )

    async def until(self, look: Callable[[ClusterFacts], bool], of: Pool) -> ClusterFacts:
        async with asyncio.timeout(PATIENCE):
            while not look(facts := await self.cluster.observe(of)):  # noqa: ASYNC110  # processes tell nobody
                await asyncio.sleep(0.01)
            return facts

    async def ready(self, count: int, of: Pool) -> ClusterFacts:
        return await self.until(lambda facts: sum(worker.ready for worker in facts.workers) == count, of)

    def pid(self, name: str) -> int:
        slots = [slot for group in self.cluster._groups.values() for slot in group.slots]
        (pid,) = [slot.process.pid for slot in slots if slot.name == name]
        assert pid is not None
        return pid


@pytest.fixture
async def stages(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[str], Stage]]:
    """`stages(code)`; what is left of them is killed."""
    monkeypatch.setattr(cluster, "FIRST_PAUSE", 0.05)
    made: list[Stage] = []

    def make(code: str) -> Stage:
        made.append(Stage(code))
        return made[-1]

    yield make
    for stage in made:
        stage.cluster.stop()
        stage.cluster.kill()
        await stage.cluster.ended()


async def test_as_many_as_asked_for(stages: Callable[[str], Stage]) -> None:
    stage, emails = stages(WORKS), pool()
    assert (await stage.cluster.observe(emails)).replicas is None
    await stage.cluster.ensure(emails)
    await stage.cluster.scale(emails, 2)
    facts = await stage.ready(2, emails)
    assert (facts.replicas, facts.current, facts.rolling, facts.gone) == (2, True, False, ())
    assert (stage.cluster.running, stage.cluster.peak) == (2, 2)
    assert stage.told == ["emails | at work"] * 2

    await stage.cluster.scale(emails, 0)
    facts = await stage.until(lambda facts: not facts.workers, emails)
    assert stage.said == []  # told to go, they went: no news


async def test_the_marked_ones_go_first(stages: Callable[[str], Stage]) -> None:
    stage, emails = stages(WORKS), pool()
    await stage.cluster.ensure(emails)
    await stage.cluster.scale(emails, 3)
    names = [worker.name for worker in (await stage.ready(3, emails)).workers]
    await stage.cluster.mark(emails, names[:1])
    await stage.cluster.scale(emails, 2)
    facts = await stage.until(lambda facts: len(facts.workers) == 2, emails)
    assert [worker.name for worker in facts.workers] == names[1:]
    assert facts.gone == (names[0],)
    assert (await stage.cluster.observe(emails)).gone == ()


async def test_a_killed_worker_is_replaced_and_called_gone(stages: Callable[[str], Stage]) -> None:
    stage, emails = stages(WORKS), pool()
    await stage.cluster.ensure(emails)
    await stage.cluster.scale(emails, 1)
    (before,) = (await stage.ready(1, emails)).workers
    os.kill(stage.pid(before.name), signal.SIGKILL)
    facts = await stage.until(lambda facts: before.name in facts.gone, emails)
    assert [worker.problem for worker in facts.workers] == [Problem("WorkerDied", "signal SIGKILL")]
    (after,) = (await stage.ready(1, emails)).workers
    assert after.name != before.name
    assert after.problem is None
    os.kill(stage.pid(after.name), signal.SIGKILL)
    await stage.until(lambda facts: after.name in facts.gone, emails)
    assert stage.said == [
        f"worker {before.name} died: signal SIGKILL; another one starts in 50ms",
        f"worker {after.name} died: signal SIGKILL; another one starts in 100ms",
    ]


async def test_its_end_is_seen_though_a_child_of_its_own_lives_on(
    stages: Callable[[str], Stage], tmp_path: Path
) -> None:
    note = tmp_path / "child"
    child = f"child = subprocess.Popen(['sleep', '600']); open({str(note)!r}, 'w').write(str(child.pid))"
    stage, emails = stages(f"import subprocess; {child}; {WORKS}"), pool()
    await stage.cluster.ensure(emails)
    await stage.cluster.scale(emails, 1)
    (worker,) = (await stage.ready(1, emails)).workers
    try:
        await stage.cluster.scale(emails, 0)
        await stage.until(lambda facts: worker.name in facts.gone, emails)
    finally:
        os.kill(int(note.read_text()), signal.SIGKILL)


async def test_who_does_not_start_is_tried_again_with_longer_pauses_and_said_once(
    stages: Callable[[str], Stage],
) -> None:
    stage, emails = stages(BREAKS), pool()
    await stage.cluster.ensure(emails)
    await stage.cluster.scale(emails, 1)
    async with asyncio.timeout(PATIENCE):
        while not stage.cluster.hopeless:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.01)
    assert stage.cluster.hopeless == ("default/emails",)
    (said,) = stage.said
    assert said.endswith("died: no such app (exit code 1); another one starts in 50ms")
    (worker,) = (await stage.cluster.observe(emails)).workers
    assert (worker.ready, worker.problem) == (False, Problem("WorkerNotStarting", "no such app (exit code 1)"))

    stage.code = WORKS  # mended
    await stage.cluster.ensure(emails)
    await stage.ready(1, emails)
    assert len(stage.cluster.hopeless) == 0


async def test_a_change_of_the_pool_replaces_its_workers(stages: Callable[[str], Stage]) -> None:
    stage, emails = stages(WORKS), pool()
    await stage.cluster.ensure(emails)
    await stage.cluster.scale(emails, 2)
    before = {worker.name for worker in (await stage.ready(2, emails)).workers}
    changed = pool(concurrency=9)
    assert not (await stage.cluster.observe(changed)).current
    await stage.cluster.ensure(changed)
    facts = await stage.until(
        lambda facts: not facts.rolling and sum(worker.ready for worker in facts.workers) == 2, changed
    )
    assert facts.current
    assert before.isdisjoint(worker.name for worker in facts.workers)


async def test_a_program_that_is_none_is_said(stages: Callable[[str], Stage], monkeypatch: pytest.MonkeyPatch) -> None:
    stage, emails = stages(WORKS), pool()
    monkeypatch.setattr(stage.cluster, "_command", lambda _: Command(("/nowhere/python",), ()))
    await stage.cluster.ensure(emails)
    await stage.cluster.scale(emails, 1)
    facts = await stage.until(lambda facts: bool(facts.gone), emails)
    assert "cannot be started" in stage.said[0]
    assert "cannot be started" in str(facts.workers[0].problem)


async def test_a_removed_pool_is_forgotten_when_its_last_worker_has_gone(stages: Callable[[str], Stage]) -> None:
    stage, emails = stages(WORKS), pool()
    await stage.cluster.ensure(emails)
    await stage.cluster.scale(emails, 1)
    await stage.ready(1, emails)
    await stage.cluster.remove(emails)
    await stage.cluster.ended()
    assert stage.cluster.running_of(emails) == 0
    assert (await stage.cluster.observe(emails)).replicas is None


@pytest.mark.timeout(20)
async def test_who_is_told_to_go_before_its_first_step_is_gone(stages: Callable[[str], Stage]) -> None:
    """Its task is cancelled and never runs: nothing but the end of the task tells that its place is free."""
    stage, made = stages(WORKS), pool()
    await stage.cluster.ensure(made)
    await stage.cluster.scale(made, 1)  # no step of its task yet
    stage.cluster.stop()
    await asyncio.sleep(0)
    await stage.cluster.ended()
    assert stage.cluster.running == 0
