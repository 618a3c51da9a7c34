"""The port `Cluster` on processes of this machine."""

import asyncio
import itertools
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from jobpools.core.pools.facts import ClusterFacts, Problem, WorkerFacts
from jobpools.core.pools.reasons import Reason
from jobpools.core.pools.specs import Pool
from jobpools.core.text.durations import format_duration
from jobpools.local.child_process import ChildProcess
from jobpools.local.restarts import RestartPolicy
from jobpools.local.worker_command import Command

DRAIN_MARGIN = 45.0
"""Seconds beyond the pool's job timeout that a stopping worker gets before it is killed."""


@dataclass(slots=True)
class _Worker:
    """One worker process, or the delay before it starts."""

    process: ChildProcess
    started: float = 0.0
    """Seconds since the epoch; 0: not started yet."""
    is_marked: bool = False
    """Chosen by the planner to be stopped first."""
    early_exits: int = 0
    """Consecutive early exits of the workers that this one replaces."""
    problem: Problem | None = None
    """Why its predecessor exited; cleared when this worker is ready."""
    task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return self.process.name


@dataclass(slots=True)
class _PoolWorkers:
    """The workers of one pool."""

    pool: Pool
    command: Command | None = None
    """What new workers are started with; None: start no workers."""
    replicas: int = 0
    workers: list[_Worker] = field(default_factory=list[_Worker])
    gone: set[str] = field(default_factory=set[str])
    """Names of workers that ended since the last `observe`."""
    last_exit: str = ""
    """The exit reason that was printed last: the same reason is not printed again."""
    is_removed: bool = False

    @property
    def active(self) -> list[_Worker]:
        """Workers that were not told to stop."""
        return [worker for worker in self.workers if not worker.process.is_stopping]


class ProcessCluster:
    """Runs each worker as a process in a session of its own, and replaces those that exit by themselves."""

    def __init__(
        self,
        command: Callable[[Pool], Command],
        *,
        notify: Callable[[str], None],
        on_output: Callable[[str, str], None],
        on_change: Callable[[], None] = lambda: None,
        restarts: RestartPolicy | None = None,
    ) -> None:
        """Create a cluster without workers.

        Args:
            command: Returns the command that starts a worker of a pool.
            notify: Receives messages for the user.
            on_output: Receives the name of a worker and each line that it writes.
            on_change: Called when a worker became ready or ended.
            restarts: Delays before workers are replaced.
        """
        self._command = command
        self._notify = notify
        self._on_output = on_output
        self._on_change = on_change
        self._restarts = restarts or RestartPolicy()
        self._pools: dict[str, _PoolWorkers] = {}
        self._numbers = itertools.count(1)
        self._run_id = secrets.token_hex(4)
        """Part of every worker's name: names of an earlier run are not used again."""
        self._is_closing = False
        self.peak = 0
        """Maximum number of workers at the same time, without those that were stopping."""
        self._crash_looping: set[str] = set()

    @property
    def pids(self) -> Mapping[str, int]:
        """Process ids of all running workers by worker name, stopping ones included."""
        return {worker.name: worker.process.pid for worker in self._workers() if worker.process.pid is not None}

    def running_of(self, pool: Pool) -> int:
        """Return the number of the pool's workers, stopping ones included."""
        group = self._pools.get(pool.meta.key)
        return 0 if group is None else len(group.workers)

    @property
    def crash_looping(self) -> tuple[str, ...]:
        """Keys of pools whose workers repeatedly exited before they were ready; none became ready since."""
        return tuple(sorted(self._crash_looping))

    async def observe(self, pool: Pool) -> ClusterFacts:
        """Return the pool's workers now. Each worker that ended is in `gone` of exactly one call."""
        group = self._pools.get(pool.meta.key)
        if group is None or group.command is None:
            return ClusterFacts(None, current=False)
        gone, group.gone = tuple(sorted(group.gone)), set()
        return ClusterFacts(
            replicas=group.replicas,
            current=group.command == (wanted := self._command(pool)),
            has_current_settings=group.command.live == wanted.live,
            workers=tuple(_facts(worker) for worker in group.workers),
            gone=gone,
            rolling=any(worker.process.command != group.command for worker in group.workers),
        )

    async def ensure(self, pool: Pool) -> None:
        """Drain workers of a former command, and start their replacements at once."""
        group = self._pools.setdefault(pool.meta.key, _PoolWorkers(pool))
        group.pool, group.command, group.is_removed = pool, self._command(pool), False
        for worker in group.active:
            if worker.process.command != group.command:
                self._stop(group, worker)
        self._start_missing(group)

    async def mark(self, pool: Pool, names: Sequence[str]) -> None:
        """Mark exactly these workers to be stopped first."""
        for worker in self._group(pool).workers:
            worker.is_marked = worker.name in names

    async def scale(self, pool: Pool, replicas: int) -> None:
        """Start missing workers; drain surplus ones: those not ready first, then marked ones, then the youngest."""
        group = self._group(pool)
        group.replicas = replicas
        surplus = len(group.active) - replicas
        if surplus > 0:
            order = sorted(group.active, key=lambda each: (each.process.is_ready, not each.is_marked, -each.started))
            for worker in order[:surplus]:
                self._stop(group, worker)
        self._start_missing(group)

    async def remove(self, pool: Pool) -> None:
        """Drain all of the pool's workers, and forget the pool when the last one has ended."""
        group = self._pools.get(pool.meta.key)
        if group is None:
            return
        group.replicas, group.command, group.is_removed = 0, None, True
        for worker in group.active:
            self._stop(group, worker)
        self._forget_if_empty(group)

    def stop(self) -> None:
        """Drain all workers. A second call makes them hand back their running jobs at once."""
        is_second_call, self._is_closing = self._is_closing, True
        for group in self._pools.values():
            group.replicas = 0
            for worker in list(group.workers):
                if is_second_call or not worker.process.is_stopping:
                    self._stop(group, worker)

    async def wait_ended(self) -> None:
        """Wait until the last worker has ended."""
        while tasks := [worker.task for worker in self._workers() if worker.task]:
            await asyncio.wait(tasks)

    def kill(self) -> None:
        """Kill all workers. Their jobs run again when the leases expire."""
        for worker in self._workers():
            worker.process.signal(signal.SIGKILL)

    def _workers(self) -> Iterator[_Worker]:
        return itertools.chain.from_iterable(group.workers for group in self._pools.values())

    def _group(self, pool: Pool) -> _PoolWorkers:
        return self._pools.setdefault(pool.meta.key, _PoolWorkers(pool))

    def _start_missing(self, group: _PoolWorkers) -> None:
        if group.command is None or self._is_closing:
            return
        while len(group.active) < group.replicas:
            self._start(group, self._new_worker(group, group.command))

    def _new_worker(self, group: _PoolWorkers, command: Command) -> _Worker:
        name = f"{group.pool.meta.name}-{self._run_id}-{next(self._numbers)}"
        return _Worker(ChildProcess(name, command, self._on_output))

    def _start(self, group: _PoolWorkers, worker: _Worker, delay: float = 0.0) -> None:
        group.workers.append(worker)
        worker.task = asyncio.create_task(self._run(group, worker, delay), name=worker.name)
        # A task that is cancelled before its first step never reaches the `finally` that removes its worker.
        worker.task.add_done_callback(lambda _: group.workers.remove(worker) if worker in group.workers else None)

    async def _run(self, group: _PoolWorkers, worker: _Worker, delay: float) -> None:
        """Run one process from its start to its end."""
        code, start_error = 0, ""
        try:
            if delay:
                await asyncio.sleep(delay)
            worker.started = time.time()
            code = await worker.process.run(lambda: self._on_ready(group, worker))
        except asyncio.CancelledError:
            if worker.process.pid is not None:
                raise
        except OSError as error:
            start_error, code = f"cannot be started: {error}", 1
        finally:
            group.workers.remove(worker)
            group.gone.add(worker.name)
        if not worker.process.is_stopping:
            self._replace(group, worker, start_error or worker.process.exit_reason(code))
        self._forget_if_empty(group)
        self._on_change()

    def _on_ready(self, group: _PoolWorkers, worker: _Worker) -> None:
        worker.problem, group.last_exit = None, ""
        self.peak = max(self.peak, sum(len(each.active) for each in self._pools.values()))
        self._crash_looping.discard(group.pool.meta.key)
        self._on_change()

    def _replace(self, group: _PoolWorkers, worker: _Worker, why: str) -> None:
        """Print why a worker exited by itself, and start its replacement after a delay."""
        ready = worker.process.is_ready
        early_exits = self._restarts.early_exits(worker.early_exits, time.time() - worker.started, ready=ready)
        delay = self._restarts.delay(early_exits)
        if self._restarts.is_crash_loop(early_exits, ready=ready):
            self._crash_looping.add(group.pool.meta.key)
        if why != group.last_exit or ready:
            group.last_exit = why
            follow_up = "" if self._is_closing else f"; its replacement starts in {format_duration(delay)}"
            self._notify(f"worker {worker.name} died: {why}{follow_up}")
        if self._is_closing or group.command is None or len(group.active) >= group.replicas:
            return
        replacement = self._new_worker(group, group.command)
        replacement.early_exits = early_exits
        replacement.problem = Problem(Reason.WORKER_DIED if ready else Reason.WORKER_NOT_STARTING, why)
        self._start(group, replacement, delay)

    def _stop(self, group: _PoolWorkers, worker: _Worker) -> None:
        worker.process.stop()
        if worker.process.pid is None:
            if worker.task is not None and worker.started == 0.0:
                worker.task.cancel()  # it is in the delay before its start
            return
        limit = group.pool.spec.job.timeout + DRAIN_MARGIN
        asyncio.get_running_loop().call_later(limit, self._kill_if_running, worker)

    def _kill_if_running(self, worker: _Worker) -> None:
        if worker.task is not None and not worker.task.done():
            self._notify(f"worker {worker.name} did not end in time; killing it")
            worker.process.signal(signal.SIGKILL)

    def _forget_if_empty(self, group: _PoolWorkers) -> None:
        if group.is_removed and not group.workers:
            self._pools.pop(group.pool.meta.key, None)


def _facts(worker: _Worker) -> WorkerFacts:
    return WorkerFacts(
        name=worker.name,
        ready=worker.process.is_ready,
        terminating=worker.process.is_stopping,
        marked=worker.is_marked,
        started=worker.started,
        problem=worker.problem,
    )
