"""The process cluster, with real processes that start, report readiness and end as workers do."""

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
from jobpools.local.cluster import ProcessCluster
from jobpools.local.restarts import RestartPolicy
from jobpools.local.worker_command import Command
from tests.support.waiting import DEADLINE

READY = "import os, time; print('started', flush=True); os.write(int(os.environ['JOBPOOLS_READY_FD']), b'1')"
WORKS = f"{READY}; time.sleep(600)"
FAILS = "import sys; sys.exit('jobpools: no such app')"


def pool(**spec: object) -> Pool:
    return Pool(meta=Meta(name="emails"), spec=PoolSpec.model_validate({"app": "a:b", "queues": ["emails"], **spec}))


class Workers:
    """A cluster whose workers run the given code, with its messages and output."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.python = sys.executable
        self.messages: list[str] = []
        self.output: list[str] = []
        self.cluster = ProcessCluster(
            lambda pool: Command((self.python, "-c", self.code), (("CONCURRENCY", str(pool.spec.concurrency)),)),
            notify=self.messages.append,
            on_output=lambda name, line: self.output.append(f"{name.split('-')[0]} | {line}"),
            restarts=RestartPolicy(initial=0.05),
        )

    async def until(self, condition: Callable[[ClusterFacts], bool], of: Pool) -> ClusterFacts:
        async with asyncio.timeout(DEADLINE):
            while not condition(facts := await self.cluster.observe(of)):  # noqa: ASYNC110  # a process sends no event
                await asyncio.sleep(0.01)
            return facts

    async def ready(self, count: int, of: Pool) -> ClusterFacts:
        return await self.until(lambda facts: sum(worker.ready for worker in facts.workers) == count, of)


@pytest.fixture
async def start() -> AsyncIterator[Callable[[str], Workers]]:
    """`start(code)` returns a cluster whose workers run this code; they are killed after the test."""
    made: list[Workers] = []

    def make(code: str) -> Workers:
        made.append(Workers(code))
        return made[-1]

    yield make
    for workers in made:
        workers.cluster.stop()
        workers.cluster.kill()
        await workers.cluster.wait_ended()


async def test_scale_starts_and_drains_workers(start: Callable[[str], Workers]) -> None:
    workers, emails = start(WORKS), pool()
    assert (await workers.cluster.observe(emails)).replicas is None
    await workers.cluster.ensure(emails)
    await workers.cluster.scale(emails, 2)
    facts = await workers.ready(2, emails)
    assert (facts.replicas, facts.current, facts.rolling, facts.gone) == (2, True, False, ())
    assert (len(workers.cluster.pids), workers.cluster.peak) == (2, 2)
    assert workers.output == ["emails | started"] * 2

    await workers.cluster.scale(emails, 0)
    facts = await workers.until(lambda facts: not facts.workers, emails)
    assert workers.messages == [], "a worker that was told to end is not reported"


async def test_scale_down_drains_marked_workers_first(start: Callable[[str], Workers]) -> None:
    workers, emails = start(WORKS), pool()
    await workers.cluster.ensure(emails)
    await workers.cluster.scale(emails, 3)
    names = [worker.name for worker in (await workers.ready(3, emails)).workers]
    await workers.cluster.mark(emails, names[:1])
    await workers.cluster.scale(emails, 2)
    facts = await workers.until(lambda facts: len(facts.workers) == 2, emails)
    assert [worker.name for worker in facts.workers] == names[1:]
    assert facts.gone == (names[0],)
    assert (await workers.cluster.observe(emails)).gone == ()


async def test_a_killed_worker_is_replaced_and_reported_as_gone(start: Callable[[str], Workers]) -> None:
    workers, emails = start(WORKS), pool()
    await workers.cluster.ensure(emails)
    await workers.cluster.scale(emails, 1)
    (before,) = (await workers.ready(1, emails)).workers
    os.kill(workers.cluster.pids[before.name], signal.SIGKILL)
    facts = await workers.until(lambda facts: before.name in facts.gone, emails)
    assert [worker.problem for worker in facts.workers] == [Problem("WorkerDied", "signal SIGKILL")]
    (after,) = (await workers.ready(1, emails)).workers
    assert after.name != before.name
    assert after.problem is None
    os.kill(workers.cluster.pids[after.name], signal.SIGKILL)
    await workers.until(lambda facts: after.name in facts.gone, emails)
    assert workers.messages == [
        f"worker {before.name} died: signal SIGKILL; its replacement starts in 50ms",
        f"worker {after.name} died: signal SIGKILL; its replacement starts in 100ms",
    ]


async def test_the_end_of_a_worker_is_detected_while_its_child_runs(
    start: Callable[[str], Workers], tmp_path: Path
) -> None:
    note = tmp_path / "child"
    child = f"child = subprocess.Popen(['sleep', '600']); open({str(note)!r}, 'w').write(str(child.pid))"
    workers, emails = start(f"import subprocess; {child}; {WORKS}"), pool()
    await workers.cluster.ensure(emails)
    await workers.cluster.scale(emails, 1)
    (worker,) = (await workers.ready(1, emails)).workers
    try:
        await workers.cluster.scale(emails, 0)
        await workers.until(lambda facts: worker.name in facts.gone, emails)
    finally:
        os.kill(int(note.read_text()), signal.SIGKILL)


async def test_a_crash_loop_is_reported_once_and_ends_with_the_first_ready_worker(
    start: Callable[[str], Workers],
) -> None:
    workers, emails = start(FAILS), pool()
    await workers.cluster.ensure(emails)
    await workers.cluster.scale(emails, 1)
    async with asyncio.timeout(DEADLINE):
        while not workers.cluster.crash_looping:  # noqa: ASYNC110  # a process sends no event
            await asyncio.sleep(0.01)
    assert workers.cluster.crash_looping == ("default/emails",)
    (message,) = workers.messages
    assert message.endswith("died: no such app (exit code 1); its replacement starts in 50ms")
    (worker,) = (await workers.cluster.observe(emails)).workers
    assert (worker.ready, worker.problem) == (False, Problem("WorkerNotStarting", "no such app (exit code 1)"))

    workers.code = WORKS
    await workers.cluster.ensure(emails)
    await workers.ready(1, emails)
    assert len(workers.cluster.crash_looping) == 0


async def test_a_changed_pool_replaces_its_workers(start: Callable[[str], Workers]) -> None:
    workers, emails = start(WORKS), pool()
    await workers.cluster.ensure(emails)
    await workers.cluster.scale(emails, 2)
    before = {worker.name for worker in (await workers.ready(2, emails)).workers}
    changed = pool(concurrency=9)
    assert not (await workers.cluster.observe(changed)).current
    await workers.cluster.ensure(changed)
    facts = await workers.until(
        lambda facts: not facts.rolling and sum(worker.ready for worker in facts.workers) == 2, changed
    )
    assert facts.current
    assert before.isdisjoint(worker.name for worker in facts.workers)


async def test_a_program_that_does_not_exist_is_reported(start: Callable[[str], Workers]) -> None:
    workers, emails = start(WORKS), pool()
    workers.python = "/nowhere/python"
    await workers.cluster.ensure(emails)
    await workers.cluster.scale(emails, 1)
    facts = await workers.until(lambda facts: bool(facts.gone), emails)
    assert "cannot be started" in workers.messages[0]
    assert "cannot be started" in str(facts.workers[0].problem)


async def test_a_removed_pool_is_forgotten_when_its_last_worker_has_ended(start: Callable[[str], Workers]) -> None:
    workers, emails = start(WORKS), pool()
    await workers.cluster.ensure(emails)
    await workers.cluster.scale(emails, 1)
    await workers.ready(1, emails)
    await workers.cluster.remove(emails)
    await workers.cluster.wait_ended()
    assert workers.cluster.running_of(emails) == 0
    assert (await workers.cluster.observe(emails)).replicas is None


@pytest.mark.timeout(20)
async def test_a_worker_that_is_stopped_before_its_first_step_leaves_the_pool(start: Callable[[str], Workers]) -> None:
    """Its task is cancelled and never runs: only the end of the task removes the worker."""
    workers, emails = start(WORKS), pool()
    await workers.cluster.ensure(emails)
    await workers.cluster.scale(emails, 1)
    workers.cluster.stop()  # no step of its task yet
    await asyncio.sleep(0)
    await workers.cluster.wait_ended()
    assert len(workers.cluster.pids) == workers.cluster.running_of(emails) == 0
