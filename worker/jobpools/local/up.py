"""`jobpools up`: the cluster's control loop over YAML files and processes of this machine."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from jobpools.control.queues import StoreQueues
from jobpools.control.reconcile import Shell, next_look, reconcile
from jobpools.core.pools.facts import Memory
from jobpools.core.pools.sizing import open_schedules
from jobpools.core.pools.specs import Pool, ScalingMode
from jobpools.errors import ConfigurationError, SpecError, StoreAuthError, StoreError
from jobpools.local import companion, plot, spec_files, worker_command
from jobpools.local.cluster import ProcessCluster
from jobpools.local.embedded_valkey import EmbeddedValkey
from jobpools.local.remaining_jobs import Leftovers
from jobpools.local.reporter import Board
from jobpools.local.run_counts import Books
from jobpools.local.schedules import Ticks
from jobpools.local.text_view import Log, View
from jobpools.settings import REDIS_URL
from jobpools.store import ledger, reads, wakeups
from jobpools.store.connect import Connection, connect, safe_url

TICK = 0.25
"""Seconds between two looks at the files, and, while there is work, at everything."""
LISTEN_PAUSE = 1.0
_FAILED = 1
INTERRUPTED = 130
"""The exit code of a run that was to end when all is done, and was stopped before: what shells give to Ctrl-C."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    paths: tuple[Path, ...]
    namespace: str = "default"
    redis: str | None = None
    """None: an embedded Valkey."""
    data: Path | None = None
    """Where the embedded Valkey keeps its data; None: nowhere after the run."""
    until_idle: bool = False
    plot: Path | None = None
    beside: str | None = None
    """A command line to run beside the pools."""
    fire: bool = False
    """Fire every schedule once at the start, beside its ticks."""


class Up:
    """One run, from the files to the last line."""

    def __init__(self, options: Options, view: View) -> None:
        """Raises SpecError for files that cannot work, before anything is started."""
        self._options = options
        self._view = view
        self._files = spec_files.load(options.paths, options.namespace)
        if options.plot is not None:
            plot.check(options.plot)
        self._words = () if options.beside is None else companion.split(options.beside)
        self._beside: companion.Beside | None = None
        self._ticks: Ticks | None = None
        self._stamp = self._look_at_files()
        self._url = options.redis or ""
        self._server = None if options.redis else EmbeddedValkey(view.say, options.data)
        self._board = Board(view.say, view.changed, options.namespace, sampling=options.plot is not None)
        self._books = Books()
        self._ledgers: dict[str, ledger.Ledger] = {}
        """Of each queue, as last read."""
        self._waiting: int | None = None
        self._leftovers = Leftovers()
        self._said: tuple[str, ...] = ()
        """What was said of jobs that nobody can run, or not yet."""
        self._gave_up = False
        self._away = False
        self._memories: dict[str, Memory] = {}
        self._cluster = ProcessCluster(self._command, say=view.say, told=view.told, touched=self._touched)
        self._refused = ""
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._signals = 0

    async def run(self) -> int:
        """Returns the exit code. Raises ConfigurationError and StoreAuthError when it cannot begin."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._told_to_stop)
        if self._server is not None:
            await self._server.start()
            self._url = self._server.url
        connection = connect(self._url)
        try:
            return await self._connected(connection)
        finally:
            self._cluster.kill()
            await self._cluster.ended()
            await connection.aclose()
            if self._server is not None:
                await self._server.stop()

    async def _connected(self, connection: Connection) -> int:
        try:
            await connection.execute("PING")
        except StoreAuthError:
            raise
        except StoreError as error:
            self._redis_is(error)
        self._view.begin(self._board)
        self._ticks = Ticks(connection, self._view.say, self._options.namespace)
        self._ticks.follow(self._files.schedules, fire=self._options.fire)
        watching = [asyncio.create_task(self._listen())]
        done = False
        try:
            self._greet()
            await self._ticks.begin()  # what is fired at the start is waiting work before anything is judged
            watching.append(asyncio.create_task(self._ticks.scheduler.run()))
            self._begin_beside()
            done = await self._work(connection)
            await self._drain(connection)
        finally:
            for task in watching:
                task.cancel()
            if self._beside is not None:
                await self._beside.end()
            await asyncio.gather(*watching, return_exceptions=True)
            if self._waiting and self._server is not None and self._options.data is None:
                self._view.say(
                    f"what still waits ({self._waiting}) goes with this Valkey; --data FOLDER keeps it for the next run"
                )
            last = self._last_line(done=done)
            self._plot(last)
            self._view.end(last)
        if self._gave_up or self._cluster.hopeless or (self._beside is not None and self._beside.failed):
            return _FAILED
        return 0 if done or not self._options.until_idle else INTERRUPTED

    def _begin_beside(self) -> None:
        if self._words:
            env = {
                REDIS_URL: self._url,
                "PYTHONPATH": self._path(*self._files.folders.values()),
                "PYTHONUNBUFFERED": "1",
            }
            self._beside = companion.Beside(
                self._words, env, say=self._view.say, told=self._view.told, ended=self._wake.set
            )

    def _greet(self) -> None:
        what = "a Valkey of its own at" if self._server is not None else "Redis at"
        names = ", ".join(pool.meta.name for pool in self._files.pools) or "none"
        self._view.say(
            f"pools: {names}; {_counted(len(self._files.schedules), 'schedule')}; {what} {safe_url(self._url)}"
        )
        for note in self._files.notes:
            self._view.say(note)

    async def _work(self, connection: Connection) -> bool:
        """Pass after pass until told to stop (False), or nothing is left to do and that was asked for (True)."""
        queues = StoreQueues(connection, "up")
        due = 0.0
        while not self._stopping.is_set():
            await self._reload()
            if self._wake.is_set() or time.monotonic() >= due:
                self._wake.clear()
                more = self._more()
                wait = next_look(await self._pass(queues))
                await self._account(connection)
                due = time.monotonic() + (wait if wait > 1 and not self._options.until_idle else TICK)
                stuck = await self._look_at_leftovers(connection)
                if self._options.until_idle and self._cluster.hopeless:
                    self._view.say(f"giving up: no worker of {', '.join(self._cluster.hopeless)} starts")
                    self._gave_up = True
                if self._options.until_idle and stuck and not more:
                    self._gave_up = True
                if self._gave_up:
                    return False
                if self._options.until_idle and not more and self._idle():
                    return True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), TICK)
        return False

    async def _pass(self, queues: StoreQueues) -> dict[str, float]:
        statuses = {key: plan.status for key, plan in self._board.plans.items()}
        shell = Shell(self._cluster, queues, self._board, self._memories, statuses)
        return await reconcile(self._files.pools, shell, time.time())

    async def _look_at_leftovers(self, connection: Connection) -> bool:
        """Say what cannot run, once; whether there is nothing else."""
        if not self._waiting:
            return False
        try:
            left = await self._leftovers.look(connection, self._ledgers, self._files.pools)
        except StoreError as error:
            self._redis_is(error)
            return False
        if left is None or left.reason == "Moving":
            return False
        later = (left.message,) if left.reason == "Later" and self._options.until_idle else ()
        for line in (*left.value, *later):
            if line not in self._said:
                self._view.say(line)
        self._said = (*left.value, *later)
        return left.reason == "Stuck"

    async def _account(self, connection: Connection) -> None:
        try:
            now = await ledger.read(connection, await self._queues(connection))
        except StoreError as error:
            self._waiting = None
            self._redis_is(error)
            return
        self._redis_is(None)
        self._board.books = self._books.take(now)
        self._ledgers = now
        self._waiting = self._board.waiting = sum(each.waiting for each in now.values())

    def _redis_is(self, error: StoreError | None) -> None:
        if error is not None and not self._away:
            self._view.say(f"Redis is away: {error}; sizes are held, and it is tried again")
        elif error is None and self._away:
            self._view.say("Redis is back")
        self._away = error is not None

    async def _queues(self, connection: Connection) -> list[str]:
        """Those of the files; in a Valkey of our own, where nobody else's can be, whatever else took a job."""
        served = {queue.name for pool in self._files.pools for queue in pool.spec.queues}
        fired = {schedule.spec.job.queue for schedule in self._files.schedules}
        return sorted(served | fired | set(await reads.queues(connection) if self._server is not None else ()))

    def _more(self) -> bool:
        """Somebody may send more. Asked before the queues are read: who ends in between may just have sent."""
        sending = self._beside is not None and self._beside.running
        return sending or (self._ticks is not None and bool(self._ticks.scheduler.asked))

    def _idle(self) -> bool:
        """All work is done, and no pool has more workers than it keeps without any."""
        return self._waiting == 0 and all(self._at_rest(pool) for pool in self._files.pools)

    def _at_rest(self, pool: Pool) -> bool:
        scaling, row = pool.spec.scaling, self._board.rows.get(pool.meta.key)
        if row is None or row.desired is None:
            return False
        if scaling.mode is ScalingMode.MANUAL or pool.spec.paused:
            return True
        least = min(scaling.max, max([scaling.min, *open_schedules(pool.spec, time.time())]))
        return row.desired <= least and self._cluster.running_of(pool) <= least

    def _command(self, pool: Pool) -> worker_command.Command:
        folder = self._files.folders.get(pool.meta.key, Path())
        return worker_command.worker(pool, self._url, sys.executable, self._path(folder))

    @staticmethod
    def _path(*folders: Path) -> str:
        """PYTHONPATH: the inherited one, and the folders of the files."""
        own = dict.fromkeys(str(folder.absolute()) for folder in folders)
        return os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH", ""), *own)))

    def _touched(self, _: str) -> None:
        self._wake.set()

    async def _listen(self) -> None:
        """Queues that were empty and are not any more wake the loop."""
        connection = connect(self._url, timeout=None)
        try:
            while True:
                try:
                    async for _ in wakeups.listen(connection):
                        self._wake.set()
                except StoreError:
                    await asyncio.sleep(LISTEN_PAUSE)  # the loop itself says that Redis is away
        finally:
            await connection.aclose()

    def _look_at_files(self) -> tuple[tuple[str, int, int], ...]:
        """What changes when a file does."""
        found = []
        for path in spec_files.paths(self._options.paths):
            with contextlib.suppress(OSError):
                status = path.stat()
                found.append((str(path), status.st_mtime_ns, status.st_size))
        return tuple(found)

    async def _reload(self) -> None:
        """Follow an edit. One that cannot work is said once, and what was there before goes on."""
        try:
            stamp = self._look_at_files()
            if stamp == self._stamp:
                return
            self._stamp = stamp
            after = spec_files.load(self._options.paths, self._options.namespace)
        except SpecError as error:
            if str(error) != self._refused:
                self._refused = str(error)
                self._view.say(f"{error}; the former files hold")
            return
        self._refused = ""
        before, self._files = self._files, after
        for text in spec_files.differences(before, after):
            self._view.say(text)
        kept = {pool.meta.key for pool in after.pools}
        for pool in before.pools:
            if pool.meta.key not in kept:
                await self._cluster.remove(pool)
                self._board.forget(pool.meta.key)
                self._memories.pop(pool.meta.key, None)
        if self._ticks is not None:
            self._ticks.follow(after.schedules)
        self._wake.set()

    def _told_to_stop(self) -> None:
        self._signals += 1
        self._stopping.set()
        self._wake.set()
        if self._signals == 1:
            self._view.say("stopping: workers finish what they run; once more to hand it back at once")
        elif self._signals == 2:  # noqa: PLR2004  # the second Ctrl-C
            self._view.say("handing back what runs")
            self._cluster.stop()
            if self._beside is not None:
                self._beside.stop()
        else:
            self._cluster.kill()

    async def _drain(self, connection: Connection) -> None:
        self._cluster.stop()
        ended = asyncio.create_task(self._cluster.ended())
        while not ended.done():
            await asyncio.wait([ended], timeout=TICK)
            await self._account(connection)
            for pool in self._files.pools:
                self._board.leaving(pool, self._cluster.running_of(pool), self._ledgers)

    def _last_line(self, *, done: bool) -> str:
        books = self._board.books
        waiting = "" if done else f", {'?' if self._waiting is None else self._waiting} still waiting"
        took = time.monotonic() - self._board.started
        what = f"{books.completed} completed, {books.retried} retried, {books.dead} dead, {books.lost} lost{waiting}"
        return f"{'done' if done else 'stopped'}: {what}; peak {self._cluster.peak} workers; {took:.1f} s"

    def _plot(self, title: str) -> None:
        if self._options.plot is not None:
            try:
                plot.draw(self._board.samples, self._options.plot, title, time.monotonic() - self._board.started)
                self._view.say(f"plot: {self._options.plot}")
            except ConfigurationError as error:
                self._view.say(str(error))


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def run(options: Options, view: View) -> int:
    """The whole run. Raises JobpoolsError when it cannot begin."""
    log, handler = logging.getLogger("jobpools"), Log(view)

    async def whole() -> int:
        return await Up(options, view).run()

    log.addHandler(handler)
    try:
        return asyncio.run(whole())
    finally:
        log.removeHandler(handler)  # the view ends with the run: who calls it again has another one
