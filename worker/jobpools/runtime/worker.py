"""One worker: puts the parts together, starts them, and takes them down again without losing or charging a job."""

import asyncio
import logging
import threading
import time
from collections.abc import Coroutine, Sequence
from typing import Any

from jobpools.app import App
from jobpools.core.jobs.job import Outcome, OutcomeKind
from jobpools.core.jobs.policies import QueueRef
from jobpools.core.text.durations import format_duration
from jobpools.core.text.names import QueueName, WorkerId
from jobpools.errors import (
    ConfigurationError,
    StoreAuthError,
    StoreError,
    StoreUnavailableError,
)
from jobpools.runtime import exit_hooks, forking, link
from jobpools.runtime.blocking import BlockingMonitor
from jobpools.runtime.bound_handlers import Handlers
from jobpools.runtime.consumer import Consumer, ConsumerOptions
from jobpools.runtime.dispatcher import Dispatcher
from jobpools.runtime.heartbeat import HeartbeatSender
from jobpools.runtime.lease_renewal import LeaseRenewal
from jobpools.runtime.left_behind import Executor, LeftBehind
from jobpools.runtime.listener import WAIT, listeners
from jobpools.runtime.metrics import Metrics
from jobpools.runtime.monitoring import Monitoring, description
from jobpools.runtime.outage import Outage
from jobpools.runtime.prefetch import Prefetch
from jobpools.runtime.rescue_loop import RescueLoop
from jobpools.runtime.run_attempt import AttemptRunner
from jobpools.runtime.services import Services
from jobpools.runtime.settle import Settler
from jobpools.runtime.slots import Slots
from jobpools.runtime.stopping import Stopped
from jobpools.runtime.threads import Threads
from jobpools.runtime.vitals import Vitals
from jobpools.runtime.watchdog import Watchdog
from jobpools.runtime.worker_state import WorkerState
from jobpools.runtime.worker_task import WorkerTask
from jobpools.settings import WorkerSettings
from jobpools.store import connect, draws
from jobpools.store.clock import ServerClock

CLOSE_TIMEOUT = 10.0
"""Seconds that the app's services get to close; everything is settled by then."""
FLUSH_TIMEOUT = 5.0
"""Seconds that the last settlements get to reach Redis when the worker goes; then their leases run out instead."""

log = logging.getLogger("jobpools.worker")


class Worker:
    """Runs an app's jobs until it is stopped."""

    def __init__(self, app: App, settings: WorkerSettings) -> None:
        """Put the parts together. Nothing is opened.

        Raises:
            ConfigurationError: the app has no jobs, and the settings name no queues.
        """
        self.app = app
        self.settings = settings
        self.id = WorkerId(draws.worker_id(settings.worker))
        self.metrics = metrics = Metrics(settings.pool)
        self.outage = outage = Outage()
        self.services = Services()
        self.left_behind = LeftBehind()
        self.executor = Executor(self.left_behind)
        """The event loop's executor, which runs handlers' `asyncio.to_thread` calls."""
        supervisor = link.of_this_process()
        self.vitals = vitals = Vitals() if supervisor is None else supervisor.vitals
        self.clock = ServerClock()
        self._wakeup = asyncio.Event()
        """Set when there is something to settle or to claim."""
        self.connection = connect.connect(settings.redis_url)
        self._waiting_connection = connect.connect(settings.redis_url, timeout=WAIT + connect.ANSWER_TIMEOUT)
        threads = Threads(settings.concurrency, self.left_behind, vitals)
        handlers = Handlers(app.handlers, settings.job, threads, metrics)
        self.monitor = BlockingMonitor()
        self.slots = self._slots()
        options = ConsumerOptions(
            self.connection, self.id, handlers, settings.queue, settings.lease, metrics, self.clock, vitals
        )
        self.consumers = [Consumer(QueueName(each.name), options, weight=each.weight) for each in self._queues()]
        self._listeners = listeners(self._waiting_connection, self.consumers, self.slots, outage, self._wakeup)
        self.dispatcher = Dispatcher(self.consumers, self.slots, outage, self._wakeup, self._listeners)
        self.renewal = LeaseRenewal(
            settings, self.consumers, slots=self.slots, outage=outage, metrics=metrics, vitals=vitals
        )
        self.rescue = RescueLoop(
            settings,
            self.consumers,
            worker=self.id,
            outage=outage,
            metrics=metrics,
            connection=self.connection,
            renewal=self.renewal,
        )
        self.state = self._state()
        self.heartbeat = HeartbeatSender(self.connection, self.state, outage)
        queues = [each.queue for each in self.consumers]
        described = description(self.id, settings, queues, handlers.by_name.values())
        self.monitoring = Monitoring(self.state, vitals, described, settings.probe_port)
        self._stop = asyncio.Event()
        self._now = asyncio.Event()
        self._opening: asyncio.Task[Any] | None = None
        """The task that waits for Redis and the services before any job is claimed: `stop` cancels it."""
        self._exit_code = 0

    def _slots(self) -> Slots:
        settings, prefetch, wake = self.settings, Prefetch(), self._wakeup.set
        settler = Settler(
            worker=self.id,
            metrics=self.metrics,
            clock=self.clock,
            prefetch=prefetch,
            monitor=self.monitor,
            executor=self.executor,
            left_behind=self.left_behind,
            wake=wake,
        )
        runner = AttemptRunner(
            settler,
            worker=self.id,
            services=self.services,
            vitals=self.vitals,
            middlewares=tuple(self.app.middlewares),
            max_result=settings.max_payload,
        )
        return Slots(
            settings.concurrency,
            runner=runner,
            settler=settler,
            prefetch=prefetch,
            left_behind=self.left_behind,
            vitals=self.vitals,
            wake=wake,
        )

    def _state(self) -> WorkerState:
        return WorkerState(
            worker=self.id,
            pool=self.settings.pool,
            consumers=self.consumers,
            slots=self.slots,
            dispatcher=self.dispatcher,
            renewal=self.renewal,
            monitor=self.monitor,
            outage=self.outage,
            left_behind=self.left_behind,
            metrics=self.metrics,
            clock=self.clock,
        )

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
        self.renewal.start()
        loop = asyncio.get_running_loop()
        supervisor = link.of_this_process()
        forking.protect(loop, () if supervisor is None else (supervisor.fileno(),))
        self.vitals.loop_runs_in(threading.get_ident())
        if supervisor is not None:
            exit_hooks.prepare(self.vitals)
        dispatching = WorkerTask(self.dispatcher.run(), loop=loop, name="dispatcher")
        parts = [dispatching, *(WorkerTask(part, loop=loop, name=name) for name, part in self._parts().items())]
        queues = ", ".join(each.queue for each in self.consumers)
        log.info("worker %s: %d slots, queues %s, jobs %s", self.id, self.settings.concurrency, queues, self._names())
        try:
            await self._until_stopped(parts)
            await self._drain(dispatching)
        finally:
            await _end(parts)
            self.renewal.stop()
            await self.heartbeat.stop([each.queue for each in self.consumers])
            self.monitoring.stop()
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT):
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
            self.monitoring.start()
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
        """Check the queues and that Redis lets this worker in; if it is unreachable, the dispatcher tries again."""
        for consumer in self.consumers:
            try:
                await consumer.check_keys()
                await consumer.step(0)
            except StoreAuthError:
                raise
            except StoreUnavailableError as error:
                self.outage.failed(error, "steps")
                return
            except StoreError as error:
                consumer.errors.fail(error)

    async def _close(self) -> None:
        await self._waiting_connection.aclose()
        await self.connection.aclose()

    def _parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        parts: dict[str, Coroutine[Any, Any, None]] = {
            "watchdog": Watchdog(self.slots, self.monitor).run(),
            "rescue": self.rescue.run(),
            "heartbeat": self.heartbeat.run(),
            "threads": self._watch_threads(),
            "monitoring": self.monitoring.run(),
        }
        for listener in self._listeners:
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
        """Stop claiming, hand back what has not started, finish what runs within the grace, hand back the rest."""
        slots, grace = self.slots, self.settings.grace
        handed_back = slots.drain()
        self.monitoring.publish()
        what = f"{handed_back} handed back, {len(slots.running)} running get {format_duration(grace)}"
        log.info("worker %s: stopping; %s", self.id, what)
        if await self._ended(grace, self._now):
            log.info("worker %s: nothing runs any more", self.id)
        for attempt in list(slots.running):
            slots.stop(attempt, Outcome(OutcomeKind.INTERRUPTED, message="told to stop"))
        await self._ended(FLUSH_TIMEOUT, None)
        for attempt in list(slots.running):
            slots.abandon(attempt)
        self.dispatcher.finish()
        await asyncio.wait([dispatching], timeout=FLUSH_TIMEOUT)  # whatever it raised was logged when it broke

    async def _ended(self, seconds: float, sooner: asyncio.Event | None) -> bool:
        """Wait until nothing runs; False if the time is over, or `sooner` is set, before that."""
        until = time.monotonic() + seconds
        while self.slots.running and time.monotonic() < until:  # rare; an event costs the hot path
            if sooner is not None and sooner.is_set():
                break
            await asyncio.sleep(0.01)
        return not self.slots.running

    async def _watch_threads(self) -> None:
        """Threads that outlived their jobs pile up: a fresh process is the only cure."""
        while self.left_behind.count <= self.settings.concurrency:  # noqa: ASYNC110  # a periodic check, with no event to wait for
            await asyncio.sleep(1)
        self._exit_code = 1
        log.error(
            "worker %s: %d threads still run though their jobs timed out; it goes, so that a fresh one takes its place",
            self.id,
            self.left_behind.count,
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


async def _end(parts: Sequence[asyncio.Task[None]]) -> None:
    """Cancel them until they are gone: before Python 3.12, asyncio.wait_for (in clients of ours) can lose one."""
    pending = set(parts)
    while pending:
        for part in pending:
            part.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.5)
