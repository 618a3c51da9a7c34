"""The port `Cluster` on processes of this machine."""

import asyncio
import itertools
import secrets
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from jobpools.core.pools.facts import ClusterFacts, Problem, WorkerFacts
from jobpools.core.pools.reasons import Reason
from jobpools.core.pools.specs import Pool
from jobpools.core.text.durations import format_duration
from jobpools.local.child_process import KILL_MARGIN, Process
from jobpools.local.worker_command import Command

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a worker that died is started again: doubled each time it dies young."""
HOPELESS = 3
"""Deaths before a worker was ready, one after the other, from which on it is no accident."""
GROWN_UP = 30.0
"""Seconds after which a death says nothing of the one before."""


@dataclass(slots=True)
class _Slot:
    """A place for one worker: a process, or the pause before the next one."""

    process: Process
    started: float = 0.0
    marked: bool = False
    deaths: int = 0
    """How many times in a row it died young."""
    problem: Problem | None = None
    """Why the one before it died, until it is ready."""
    task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return self.process.name


@dataclass(slots=True)
class _Group:
    """The workers of one pool."""

    pool: Pool
    command: Command | None = None
    replicas: int = 0
    slots: list[_Slot] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    said: str = ""
    """The last reason of a death, said once for as long as it stays the same."""
    removed: bool = False

    @property
    def staying(self) -> list[_Slot]:
        """Those that were not told to go."""
        return [slot for slot in self.slots if not slot.process.stopping]


class ProcessCluster:
    """Each worker a process in a group of its own; one that dies is replaced, after a pause that grows."""

    def __init__(
        self,
        command: Callable[[Pool], Command],
        *,
        say: Callable[[str], None],
        told: Callable[[str, str], None],
        touched: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`command` renders a pool's worker, `say` gets what people should know, `told` what workers write.

        `touched` is called with a pool's key when one of its workers became ready or ended.
        """
        self._command = command
        self._say = say
        self._told = told
        self._touched = touched
        self._groups: dict[str, _Group] = {}
        self._numbers = itertools.count(1)
        self._nonce = secrets.token_hex(4)
        self._closing = False
        self.peak = 0
        """The most processes that there were at once."""
        self._hopeless: set[str] = set()

    @property
    def running(self) -> int:
        """How many worker processes there are, leaving ones included."""
        return sum(slot.process.pid is not None for group in self._groups.values() for slot in group.slots)

    def running_of(self, pool: Pool) -> int:
        """The same of one pool."""
        group = self._groups.get(pool.meta.key)
        return 0 if group is None else len(group.slots)

    @property
    def hopeless(self) -> tuple[str, ...]:
        """Keys of pools whose workers ended several times before they were ready; none has become ready since."""
        return tuple(sorted(self._hopeless))

    async def observe(self, pool: Pool) -> ClusterFacts:
        """What runs for the pool now; what ended since the last look is told once."""
        group = self._groups.get(pool.meta.key)
        if group is None or group.command is None:
            return ClusterFacts(None, current=False)
        gone, group.gone = tuple(sorted(group.gone)), set()
        return ClusterFacts(
            replicas=group.replicas,
            current=group.command == self._command(pool),
            workers=tuple(_facts(slot) for slot in group.slots),
            gone=gone,
            rolling=any(slot.process.command != group.command for slot in group.slots),
        )

    async def ensure(self, pool: Pool) -> None:
        """Workers of an older command finish what they run; new ones take their places at once."""
        group = self._groups.setdefault(pool.meta.key, _Group(pool))
        group.pool, group.command, group.removed = pool, self._command(pool), False
        for slot in group.staying:
            if slot.process.command != group.command:
                self._stop(group, slot)
        self._fill(group)

    async def mark(self, pool: Pool, names: Sequence[str]) -> None:
        """Exactly these go first."""
        for slot in self._group(pool).slots:
            slot.marked = slot.name in names

    async def scale(self, pool: Pool, replicas: int) -> None:
        """Start what is missing; tell the surplus to drain: not ready ones first, then marked, then the youngest."""
        group = self._group(pool)
        group.replicas = replicas
        surplus = len(group.staying) - replicas
        if surplus > 0:
            order = sorted(group.staying, key=lambda slot: (slot.process.ready, not slot.marked, -slot.started))
            for slot in order[:surplus]:
                self._stop(group, slot)
        self._fill(group)

    async def remove(self, pool: Pool) -> None:
        """Tell all of the pool's workers to drain; it is forgotten when the last one has ended."""
        group = self._groups.get(pool.meta.key)
        if group is None:
            return
        group.replicas, group.command, group.removed = 0, None, True
        for slot in group.staying:
            self._stop(group, slot)
        self._forget(group)

    def stop(self) -> None:
        """Tell every worker to go; the second call makes them hand back at once what they run."""
        again, self._closing = self._closing, True
        for group in self._groups.values():
            group.replicas = 0
            for slot in list(group.slots):
                if again or not slot.process.stopping:
                    self._stop(group, slot)

    async def ended(self) -> None:
        """Wait until no worker is left."""
        while tasks := [slot.task for group in self._groups.values() for slot in group.slots if slot.task]:
            await asyncio.wait(tasks)

    def kill(self) -> None:
        """The last resort: their leases run out."""
        for group in self._groups.values():
            for slot in group.slots:
                slot.process.signal(signal.SIGKILL)

    def _group(self, pool: Pool) -> _Group:
        return self._groups.setdefault(pool.meta.key, _Group(pool))

    def _fill(self, group: _Group) -> None:
        if group.command is None or self._closing:
            return
        while len(group.staying) < group.replicas:
            self._launch(group, self._new(group))

    def _new(self, group: _Group) -> _Slot:
        assert group.command is not None  # noqa: S101  # _fill looked
        name = f"{group.pool.meta.name}-{self._nonce}-{next(self._numbers)}"
        return _Slot(Process(name, group.command, self._told))

    def _launch(self, group: _Group, slot: _Slot, pause: float = 0.0) -> None:
        group.slots.append(slot)
        slot.task = asyncio.create_task(self._live(group, slot, pause), name=slot.name)
        # Cancelled before its first step, a task never reaches the code that would clear its place.
        slot.task.add_done_callback(lambda _: group.slots.remove(slot) if slot in group.slots else None)

    async def _live(self, group: _Group, slot: _Slot, pause: float) -> None:
        """One process from its start to its end."""
        code, unstarted = 0, ""
        try:
            if pause:
                await asyncio.sleep(pause)
            slot.started = time.time()
            code = await slot.process.run(lambda: self._began(group, slot))
        except asyncio.CancelledError:
            if slot.process.pid is not None:
                raise
        except OSError as error:
            unstarted, code = f"cannot be started: {error}", 1
        finally:
            group.slots.remove(slot)
            group.gone.add(slot.name)
        if not slot.process.stopping:
            self._died(group, slot, unstarted or slot.process.last_words(code))
        self._forget(group)
        self._touched(group.pool.meta.key)

    def _began(self, group: _Group, slot: _Slot) -> None:
        slot.problem, group.said = None, ""
        self.peak = max(self.peak, self.running)
        self._hopeless.discard(group.pool.meta.key)
        self._touched(group.pool.meta.key)

    def _died(self, group: _Group, slot: _Slot, why: str) -> None:
        """It was not told to: put another one in its place, after a pause when it did not live long."""
        young = not slot.process.ready or time.time() - slot.started < GROWN_UP
        deaths = slot.deaths + 1 if young else 1
        pause = min(FIRST_PAUSE * 2 ** (deaths - 1), LONGEST_PAUSE)
        if not slot.process.ready and deaths >= HOPELESS:
            self._hopeless.add(group.pool.meta.key)
        if why != group.said or slot.process.ready:
            group.said = why
            again = "" if self._closing else f"; another one starts in {format_duration(pause)}"
            self._say(f"worker {slot.name} died: {why}{again}")
        if self._closing or group.command is None or len(group.staying) >= group.replicas:
            return
        heir = self._new(group)
        heir.deaths = deaths
        heir.problem = Problem(Reason.WORKER_DIED if slot.process.ready else Reason.WORKER_NOT_STARTING, why)
        self._launch(group, heir, pause)

    def _stop(self, group: _Group, slot: _Slot) -> None:
        slot.process.stop()
        if slot.process.pid is None:
            if slot.task is not None and slot.started == 0.0:
                slot.task.cancel()  # it waits for its turn
            return
        grace = group.pool.spec.job.timeout + KILL_MARGIN + 30.0
        asyncio.get_running_loop().call_later(grace, self._too_long, slot)

    def _too_long(self, slot: _Slot) -> None:
        if slot.task is not None and not slot.task.done():
            self._say(f"worker {slot.name} does not end; it is killed")
            slot.process.signal(signal.SIGKILL)

    def _forget(self, group: _Group) -> None:
        if group.removed and not group.slots:
            self._groups.pop(group.pool.meta.key, None)


def _facts(slot: _Slot) -> WorkerFacts:
    return WorkerFacts(
        name=slot.name,
        ready=slot.process.ready,
        terminating=slot.process.stopping,
        marked=slot.marked,
        started=slot.started,
        problem=slot.problem,
    )
