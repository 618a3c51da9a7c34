"""One worker: puts the parts together, starts them, and takes them down again without losing or charging a job."""

import asyncio
import contextlib
import gc
import logging
import os
import threading
import time
from collections.abc import Coroutine, Sequence
from typing import Any

from jobpools.app import App
from jobpools.client import Client
from jobpools.core.jobs.job import OutcomeKind
from jobpools.core.jobs.policies import QueueRef
from jobpools.core.text.durations import format_duration
from jobpools.core.text.names import QueueName, WorkerId
from jobpools.errors import (
    ConfigurationError,
    JobpoolsError,
    StoreAuthError,
    StoreError,
    StoreUnavailableError,
)
from jobpools.runtime import event_loop, exit_hooks, forking, link, worker_log
from jobpools.runtime.attempt import Entry, Run
from jobpools.runtime.current import WorkerTask
from jobpools.runtime.dispatcher import Dispatcher
from jobpools.runtime.executor import Threads, bind
from jobpools.runtime.janitor import Janitor
from jobpools.runtime.lane import Lane
from jobpools.runtime.lease import LeaseThread
from jobpools.runtime.listener import WAIT, listeners
from jobpools.runtime.loading import import_app
from jobpools.runtime.metrics import Metrics
from jobpools.runtime.outage import Outage
from jobpools.runtime.processor import Processor
from jobpools.runtime.reporting import Reporting
from jobpools.runtime.services import Services
from jobpools.runtime.stopping import Stopped, Stopping, stopping
from jobpools.runtime.vitals import Vitals
from jobpools.settings import WorkerSettings
from jobpools.store import connect, draws

CLOSE_PATIENCE = 10.0
"""Seconds that the app's services get to close; everything is settled by then."""
FLUSH_PATIENCE = 5.0
"""Seconds that the last settlements get to reach Redis when the worker goes; then their leases run out instead."""

GARBAGE = 10_000
"""New objects after which Python looks for cycles. Its own 700 are reached with every ninety jobs in hand, whose
objects need no such look: it cost a tenth of a worker's CPU."""

log = logging.getLogger("jobpools.worker")


class Worker:
    """Runs an app's jobs until it is told to stop."""

    def __init__(self, app: App, settings: WorkerSettings) -> None:
        """Raises ConfigurationError when the app and the settings do not fit."""
        self.app = app
        self.settings = settings
        self.id = WorkerId(draws.worker_id(settings.worker))
        self.metrics = Metrics(settings.pool)
        self.outage = Outage()
        supervisor = link.of_this_process()
        self.vitals = Vitals() if supervisor is None else supervisor.vitals
        self.services = Services()
        self.processor = Processor(
            slots=settings.concurrency,
            worker=self.id,
            services=self.services,
            metrics=self.metrics,
            max_result=settings.max_payload,
        )
        self.processor.middlewares = tuple(app.middlewares)
        self.processor.vitals = self.vitals
        self.threads = Threads(settings.concurrency, self.processor.left_behind, self.vitals)
        self.connection = connect.connect(settings.redis_url)
        self._waiting = connect.connect(settings.redis_url, timeout=WAIT + connect.ANSWER_TIMEOUT)
        self.entries = self._entries()
        self.lanes = [
            Lane(self.connection, QueueName(queue.name), worker=self.id, weight=queue.weight, policy=settings.queue,
                 entries=self.entries, processor=self.processor, metrics=self.metrics, lease=settings.lease,
                 defaults=settings.job)
            for queue in self._queues()
        ]  # fmt: skip
        self.dispatcher = Dispatcher(self.lanes, self.processor, self.outage)
        self.processor.wake = self.dispatcher.wake
        self.dispatcher.listeners = listeners(
            self._waiting, self.lanes, self.processor, self.outage, self.dispatcher.wake
        )
        self.leases = LeaseThread(settings, self.lanes, self.processor, self.outage, self.metrics)
        self.janitor = Janitor(
            settings,
            self.lanes,
            processor=self.processor,
            outage=self.outage,
            metrics=self.metrics,
            connection=self.connection,
            leases=self.leases,
        )
        self.reporting = Reporting(self)
        self.started = time.monotonic()
        self._stop = asyncio.Event()
        self._now = asyncio.Event()
        self._opening: asyncio.Task[Any] | None = None
        """Who waits for Redis and for the services before there is any work: not worth waiting for on the way out."""
        self._exit_code = 0

    def stop(self) -> None:
        """Begin to go: the first call finishes what runs, the second hands it back at once."""
        if self._stop.is_set():
            self._now.set()
        self._stop.set()
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None

    async def run(self) -> int:
        """Work until `stop`; returns the exit code: 0 after a drain, 1 when a part of the worker broke.

        Raises StoreAuthError when Redis does not let it in, and ConfigurationError when the probe port is taken or a
        service does not open.
        """
        if not await self._opened():
            return 0
        self.leases.start()
        loop = asyncio.get_running_loop()
        supervisor = link.of_this_process()
        forking.protect(loop, () if supervisor is None else (supervisor.fileno(),))
        self.vitals.loop_runs_in(threading.get_ident())
        if supervisor is not None:
            exit_hooks.prepare(self.vitals)
        dispatching = WorkerTask(self.dispatcher.run(), loop=loop, name="dispatcher")
        parts = [dispatching, *(WorkerTask(part, loop=loop, name=name) for name, part in self._parts().items())]
        queues = ", ".join(lane.queue for lane in self.lanes)
        log.info("worker %s: %d slots, queues %s, jobs %s", self.id, self.settings.concurrency, queues, self._names())
        try:
            await self._until_stopped(parts)
            await self._drain(dispatching)
        finally:
            await _end(parts)
            self.leases.stop()
            await self.reporting.stop()
            try:
                async with asyncio.timeout(CLOSE_PATIENCE):
                    await self.services.stop()
            except Exception:
                log.exception("worker %s: a service did not close", self.id)
                self._exit_code = 1
            await self._close()
            forking.unprotect()
        log.info("worker %s: gone, %d completed, %d failed", self.id, self.metrics.completed, self.metrics.failed)
        return self._exit_code

    async def _opened(self) -> bool:
        """Ready to work; False: it was told to stop before it was."""
        self._opening = asyncio.current_task()
        try:
            await self._greet()
            await self.services.start(self.app.services)
            self.reporting.start()
        except BaseException as error:
            self._opening = None  # from here on services close; a signal must not cancel that
            await self.services.stop()
            await self._close()
            if not (isinstance(error, asyncio.CancelledError) and self._stop.is_set()) and not isinstance(
                error, Stopped
            ):
                raise
            log.info("worker %s: gone before it began", self.id)
            return False
        self._opening = None
        return True

    async def _greet(self) -> None:
        """The first words: who may not speak to Redis is told at once; one that is away is tried again and again."""
        for lane in self.lanes:
            try:
                await lane.check()
                await lane.step(0)
            except StoreAuthError:
                raise
            except StoreUnavailableError as error:
                self.outage.noticed(error, "steps")
                return
            except StoreError as error:
                lane.fail(error)

    async def _close(self) -> None:
        await self._waiting.aclose()
        await self.connection.aclose()

    def _parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        parts: dict[str, Coroutine[Any, Any, None]] = {
            "watchdog": self.processor.watch(),
            "janitor": self.janitor.run(),
            "heartbeat": self.reporting.run(),
            "threads": self._watch_threads(),
            "vitals": self.reporting.publish_again_and_again(),
        }
        for listener in self.dispatcher.listeners:
            parts[listener.name] = listener.run()
        return parts

    async def _until_stopped(self, parts: Sequence[asyncio.Task[None]]) -> None:
        stopped = WorkerTask(self._stop.wait())
        done, _ = await asyncio.wait([stopped, *parts], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        for part in done - {stopped}:
            # None of them returns by itself: a bug, told in full. Leaving is better than working with a part missing.
            self._exit_code = 1
            log.critical("worker %s: its %s broke", self.id, part.get_name(), exc_info=part.exception())

    async def _drain(self, dispatching: asyncio.Task[None]) -> None:
        """Stop claiming, hand back what has not begun, finish what runs within the grace, hand back the rest."""
        processor = self.processor
        processor.stopping = True
        self.reporting.publish()
        waiting, grace = list(processor.waiting), self.settings.grace
        processor.waiting.clear()
        processor.hand_back(waiting)
        what = f"{len(waiting)} handed back, {len(processor.running)} running get {format_duration(grace)}"
        log.info("worker %s: stopping; %s", self.id, what)
        if await self._settled(grace, self._now):
            log.info("worker %s: nothing runs any more", self.id)
        for run in list(processor.running):
            processor.stop(run, OutcomeKind.INTERRUPTED)
        await self._settled(FLUSH_PATIENCE, None)
        for run in list(processor.running):
            processor.give_up(run)
        self.dispatcher.finish()
        await asyncio.wait([dispatching], timeout=FLUSH_PATIENCE)  # whatever it raised was told when it broke

    async def _settled(self, seconds: float, sooner: asyncio.Event | None) -> bool:
        """Wait until nothing runs; False when the time is over, or `sooner` is set, before that."""
        until = time.monotonic() + seconds
        while self.processor.running and time.monotonic() < until:  # rare; an event costs the hot path
            if sooner is not None and sooner.is_set():
                break
            await asyncio.sleep(0.01)
        return not self.processor.running

    async def _watch_threads(self) -> None:
        """Threads that outlived their jobs pile up: a fresh process is the only cure."""
        while self.processor.left_behind.count <= self.settings.concurrency:  # noqa: ASYNC110  # a periodic check, with no event to wait for
            await asyncio.sleep(1)
        self._exit_code = 1
        log.error(
            "worker %s: %d threads still run though their jobs timed out; it goes, so that a fresh one takes its place",
            self.id,
            self.processor.left_behind.count,
        )
        self.stop()
        await asyncio.Event().wait()

    def _names(self) -> str:
        return ", ".join(sorted(self.app.handlers)) or "none"

    def _queues(self) -> tuple[QueueRef, ...]:
        if self.settings.queues:
            return self.settings.queues
        names = sorted({handler.queue for handler in self.app.handlers.values()})
        if not names:
            raise ConfigurationError(f"app {self.app.name} has no jobs: decorate a function with @app.job")
        return tuple(QueueRef(name=name) for name in names)

    def _entries(self) -> dict[str, Entry]:
        entries = {name: self._entry(name) for name in self.app.handlers}
        for number, entry in enumerate(entries.values()):
            entry.number = number
        return entries

    def _entry(self, name: str) -> Entry:
        handler, pool = self.app.handlers[name], self.settings.job
        said = handler.defaults
        entry = Entry(name, self.metrics.tally(name))
        threads = self.threads if handler.executor == "thread" else None
        entry.call = bind(handler.function, threads, takes_context=handler.takes_context)
        entry.decode = handler.signature.decoder()
        entry.encode_result = handler.signature.encode_result
        entry.timeout = pool.timeout if said.timeout is None else said.timeout
        entry.retry = pool.retry if said.retry is None else said.retry
        entry.result_ttl = pool.result_ttl if said.result_ttl is None else said.result_ttl
        entry.max_crashes = pool.max_crashes if said.max_crashes is None else said.max_crashes
        return entry


async def _end(parts: Sequence[asyncio.Task[None]]) -> None:
    """Cancel them until they are gone: before Python 3.12, asyncio.wait_for (in clients of ours) can lose one."""
    pending = set(parts)
    while pending:
        for part in pending:
            part.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.5)


def _one_redis(app: App, settings: WorkerSettings) -> WorkerSettings:
    """A worker, and what its handlers enqueue, speak to one Redis: the one it is told of, else the app's own."""
    if app.redis and "redis_url" not in settings.model_fields_set:
        settings = settings.model_copy(update={"redis_url": app.redis})
    app.use(Client(settings.redis_url, app.client.max_payload))
    return settings


def run_worker(settings: WorkerSettings, app: App | None = None, signals: Stopping | None = None) -> int:
    """Run one worker in this process until SIGTERM, SIGINT, SIGHUP or SIGQUIT; returns the exit code.

    `jobpools worker` calls this in a child of its supervisor. Called from Python there is none: leases are not renewed
    while a handler holds the GIL for longer than the lease, a death of the process is noticed when its leases expire,
    and what its handlers started may outlive it.

    0: it drained; 1: a part of it broke. Raises JobpoolsError when it cannot start: AppImportError,
    ConfigurationError, StoreAuthError.
    """
    try:
        with stopping() if signals is None else contextlib.nullcontext(signals) as followed:
            found = app or import_app(settings.app)  # before there is an event loop: the module may run one of its own
            return _run(_one_redis(found, settings), found, followed)
    except Stopped as told:
        log.info("stopped by %s before the worker started; no job was claimed", told)
        return 0


def _run(settings: WorkerSettings, app: App, signals: Stopping) -> int:
    worker_log.configure_app(settings.log)
    gc.set_threshold(GARBAGE)

    worker: Worker | None = None

    async def work() -> int:
        nonlocal worker
        worker = made = Worker(app, settings)
        loop = asyncio.get_running_loop()
        loop.set_default_executor(worker.processor.executor)
        with signals.working(loop, worker.stop, lambda: made.services.is_blocking):
            code = await worker.run()
        if worker.processor.stuck or not worker.processor.executor.drained(FLUSH_PATIENCE):
            log.error("worker %s: code of %d jobs still runs; the worker ends without waiting for it", worker.id,
                      worker.processor.left_behind.count)  # fmt: skip
            # The event loop would wait for it forever.
            logging.shutdown()
            if (supervisor := link.of_this_process()) is not None:
                supervisor.goodbye(code)
            os._exit(code)
        return code

    def blame(run: Run, error: BaseException) -> None:
        if worker is not None:
            worker.processor.raised_outside(run, error)

    return event_loop.run(work(), blame)


__all__ = ["JobpoolsError", "Worker", "import_app", "run_worker"]
