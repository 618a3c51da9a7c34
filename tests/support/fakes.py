"""Fakes of the control ports: pools, a cluster and queues in memory, with their own clock.

Time passes only in `World.advance`. Workers start after a delay, claim, finish, and drain when they are terminated. The
cluster deletes pods in the order of a ReplicaSet: those that are not ready, then marked ones, then the youngest.
"""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from jobpools.core.jobs.policies import Limits, QueueLimits
from jobpools.core.pools.facts import ClusterFacts, EndpointFacts, Heartbeat, Problem, QueueFacts, WorkerFacts
from jobpools.core.pools.plan import Plan
from jobpools.core.pools.specs import Pool
from jobpools.core.text.names import QueueName, WorkerId
from jobpools.errors import ObservationError, StoreUnavailableError
from jobpools.pool_settings import live_settings

LEASE = 10.0
TICK = 0.1


@dataclass(slots=True)
class Job:
    id: int
    seconds: float
    ready_at: float


@dataclass(slots=True)
class Worker:
    """One process: `id` changes with each start, `name` is the pod's."""

    name: str
    id: WorkerId
    pool: str
    slots: int
    ready_at: float
    created: float
    running: dict[int, tuple[Job, float]] = field(default_factory=dict)
    idle_since: float | None = None
    terminating: bool = False
    marked: bool = False
    completed: int = 0
    problem: Problem | None = None


class World:
    """One namespace and one Redis; every queue is served by one pool."""

    def __init__(self, now: float = 1_000_000.0, start_delay: float = 2.0) -> None:
        self.now = now
        self.start_delay = start_delay
        self.pools: dict[str, Pool] = {}
        self.ensured: dict[str, Pool] = {}
        self.replicas: dict[str, int] = {}
        self.workers: list[Worker] = []
        self.gone: dict[str, list[str]] = defaultdict(list)
        self.ready: dict[str, list[Job]] = defaultdict(list)
        self.scheduled: dict[str, list[Job]] = defaultdict(list)
        self.leases: dict[str, dict[tuple[int, str], tuple[Job, float]]] = defaultdict(dict)
        self.draining: dict[str, set[str]] = defaultdict(set)
        self.settings: dict[str, str] = {}
        """By pool key: version of the settings that were written."""
        self.limits: dict[str, Limits] = defaultdict(Limits)
        self.done: list[int] = []
        self.crashes = 0
        self.killed_busy: list[str] = []
        """Workers that were terminated while they ran jobs."""
        self._numbers = itertools.count(1)

    def enqueue(self, queue: str, seconds: float = 1.0, delay: float = 0.0) -> int:
        job = Job(next(self._numbers), seconds, self.now + delay)
        (self.scheduled if delay else self.ready)[queue].append(job)
        return job.id

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + TICK)
            self._work()
            self._scale()

    def crash(self, worker: Worker) -> None:
        """Remove the worker with the jobs that it runs; its leases stay until they expire."""
        self.workers.remove(worker)
        self.gone[worker.pool].append(worker.name)
        self.crashes += 1

    def promote(self, queue: str) -> int:
        due = [job for job in self.scheduled[queue] if job.ready_at <= self.now]
        self.scheduled[queue] = [job for job in self.scheduled[queue] if job.ready_at > self.now]
        self.ready[queue] += due
        return len(due)

    def hand_back(self, queue: str, lost: Sequence[tuple[int, str]]) -> int:
        for lease in lost:
            job, _ = self.leases[queue].pop(lease)
            self.ready[queue].insert(0, job)
        return len(lost)

    def rescue(self, queue: str) -> int:
        expired = [lease for lease, (_, expiry) in self.leases[queue].items() if expiry <= self.now]
        return self.hand_back(queue, expired) + self.promote(queue)

    def _work(self) -> None:
        for worker in list(self.workers):
            queues = [each.name for each in self.ensured[worker.pool].spec.queues]
            self._finish(worker, queues)
            if worker.terminating:
                if not worker.running:
                    self.workers.remove(worker)
                    self.gone[worker.pool].append(worker.name)
            elif worker.ready_at <= self.now and not worker.problem:
                for queue in queues:
                    self.rescue(queue)
                    self.claim(worker, queue)

    def _finish(self, worker: Worker, queues: list[str]) -> None:
        for number, (job, ends) in list(worker.running.items()):
            for queue in queues:
                if (number, worker.id) in self.leases[queue]:
                    self.leases[queue][number, worker.id] = (job, self.now + LEASE)
            if ends <= self.now:
                del worker.running[number]
                worker.completed += 1
                for queue in queues:
                    if self.leases[queue].pop((number, worker.id), None):
                        self.done.append(number)
        if not worker.running and worker.idle_since is None:
            worker.idle_since = self.now

    def claim(self, worker: Worker, queue: str) -> None:
        while len(worker.running) < worker.slots and self.ready[queue] and worker.id not in self.draining[queue]:
            job = self.ready[queue].pop(0)
            self.leases[queue][job.id, worker.id] = (job, self.now + LEASE)
            worker.running[job.id] = (job, self.now + job.seconds)
            worker.idle_since = None

    def _scale(self) -> None:
        for key, wanted in self.replicas.items():
            live = [worker for worker in self.workers if worker.pool == key and not worker.terminating]
            for _ in range(wanted - len(live)):
                self._start(key)
            live.sort(key=lambda each: (each.ready_at <= self.now, not each.marked, -each.created, each.name))
            for worker in live[: max(0, len(live) - wanted)]:
                worker.terminating = True
                if worker.running:
                    self.killed_busy.append(worker.name)

    def _start(self, key: str) -> None:
        name = f"{key.partition('/')[2]}-{next(self._numbers)}"
        ready_at = self.now + self.start_delay
        worker = Worker(name, WorkerId(f"{name}.x"), key, self.ensured[key].spec.concurrency, ready_at, self.now)
        worker.idle_since = ready_at
        self.workers.append(worker)


class FakeCluster:
    """Fake of the port Cluster."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.away = False
        """Whether reads and writes fail."""

    def _check(self) -> None:
        if self.away:
            raise ObservationError("the API server does not answer")

    async def observe(self, pool: Pool) -> ClusterFacts:
        self._check()
        world, key = self.world, pool.meta.key
        workers = tuple(
            WorkerFacts(
                name=each.name,
                ready=each.ready_at <= world.now and not each.problem,
                terminating=each.terminating,
                marked=each.marked,
                started=each.created,
                problem=each.problem,
            )
            for each in world.workers
            if each.pool == key
        )
        ensured = world.ensured.get(key)
        return ClusterFacts(
            replicas=world.replicas.get(key),
            current=key in world.replicas and ensured is not None and ensured.spec == pool.spec,
            workers=workers,
            gone=tuple(world.gone.pop(key, ())),
        )

    async def ensure(self, pool: Pool) -> None:
        self._check()
        self.world.ensured[pool.meta.key] = pool
        self.world.replicas.setdefault(pool.meta.key, 0)

    async def mark(self, pool: Pool, names: Sequence[str]) -> None:
        self._check()
        for worker in self.world.workers:
            if worker.pool == pool.meta.key:
                worker.marked = worker.name in names

    async def scale(self, pool: Pool, replicas: int) -> None:
        self._check()
        self.world.replicas[pool.meta.key] = replicas


class FakeQueues:
    """Fake of the port Queues."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.away = False

    def _check(self) -> None:
        if self.away:
            raise StoreUnavailableError("redis://fake:6379: connection refused")

    async def observe(self, pools: Sequence[Pool]) -> EndpointFacts:
        self._check()
        names = {queue.name for pool in pools for queue in pool.spec.queues}
        return EndpointFacts(
            queues={QueueName(name): self._facts(name) for name in names},
            heartbeats={pool.meta.key: self._heartbeats(pool) for pool in pools},
        )

    def _facts(self, name: str) -> QueueFacts:
        world = self.world
        later = [job.ready_at for job in world.scheduled[name] if job.ready_at > world.now]
        waiting = [world.now - job.ready_at for job in world.ready[name]]
        return QueueFacts(
            queued=len(world.ready[name]),
            due=len(world.scheduled[name]) - len(later),
            scheduled=len(later),
            in_flight=len(world.leases[name]),
            dead=0,
            oldest_seconds=max(waiting, default=None),
            due_in=min((at - world.now for at in later), default=None),
            completed_total=len(world.done),
            crashed_total=world.crashes,
            limits=world.limits[name],
        )

    def _heartbeats(self, pool: Pool) -> tuple[Heartbeat, ...]:
        world = self.world
        draining = set().union(*(world.draining[queue.name] for queue in pool.spec.queues))
        return tuple(
            Heartbeat(
                worker=each.id,
                pool=each.pool,
                slots=each.slots,
                busy=len(each.running),
                started=each.ready_at,
                seen=world.now,
                idle_since=each.idle_since,
                draining=each.id in draining,
                completed=each.completed,
            )
            for each in world.workers
            if each.pool == pool.meta.key and each.ready_at <= world.now and not each.problem
        )

    def _holders(self, pool: Pool) -> set[str]:
        return {holder for queue in pool.spec.queues for _, holder in self.world.leases[queue.name]}

    async def set_limits(self, pool: Pool, queues: Sequence[str]) -> None:
        self._check()
        wanted = pool.spec.queue.model_dump(include=set(QueueLimits.model_fields), exclude_none=True)
        for queue in queues:
            self.world.limits[queue] = replace(self.world.limits[queue], **wanted)

    async def write_settings(self, pool: Pool) -> None:
        self._check()
        self.world.settings[pool.meta.key] = live_settings(pool).version

    async def pause(self, pool: Pool, workers: Sequence[str]) -> None:
        self._check()
        for queue in pool.spec.queues:
            self.world.draining[queue.name].update(workers)

    async def drain(self, pool: Pool, workers: Sequence[str]) -> tuple[str, ...]:
        self._check()
        free = tuple(worker for worker in workers if worker not in self._holders(pool))
        await self.pause(pool, free)
        return free

    async def undrain(self, pool: Pool, workers: Sequence[str]) -> None:
        self._check()
        for queue in pool.spec.queues:
            self.world.draining[queue.name].difference_update(workers)

    async def release(self, pool: Pool, names: Sequence[str]) -> int:
        self._check()
        moved = 0
        for queue in pool.spec.queues:
            lost = [lease for lease in self.world.leases[queue.name] if lease[1].rpartition(".")[0] in names]
            moved += self.world.hand_back(queue.name, lost)
        return moved

    async def maintain(self, pool: Pool) -> int:
        self._check()
        return sum(self.world.rescue(queue.name) for queue in pool.spec.queues)


class FakeReporter:
    """Fake of the port Reporter: keeps all plans."""

    def __init__(self) -> None:
        self.plans: dict[str, list[Plan]] = defaultdict(list)

    async def report(self, pool: Pool, plan: Plan) -> None:
        self.plans[pool.meta.key].append(plan)
