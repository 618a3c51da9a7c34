"""One worker: opens its parts, runs them until it is stopped, and closes them without losing or charging a job."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Sequence
from typing import Any

from jobpools.app import App
from jobpools.core.text.durations import format_duration
from jobpools.errors import ScheduleLimitError, StoreAuthError, StoreError, StoreUnavailableError
from jobpools.runtime import draining, exit_hooks, forking, link
from jobpools.runtime.background_tasks import BackgroundTasks
from jobpools.runtime.consumer import Consumer
from jobpools.runtime.outage import Outage
from jobpools.runtime.reloading import ReadSettings, Reloader
from jobpools.runtime.services import is_cancelled
from jobpools.runtime.stopping import Stopped
from jobpools.runtime.worker_parts import WorkerParts
from jobpools.settings import WorkerSettings
from jobpools.store.queue_policies import set_limits

CLOSE_TIMEOUT = 10.0
"""Maximum seconds for the app's services to close; everything is settled by then."""
LEFT_BEHIND_CHECK_INTERVAL = 1.0
"""Seconds between two checks how much code still runs for attempts that have ended."""

log = logging.getLogger("jobpools.worker")


class Worker:
    """Runs an app's jobs until it is stopped."""

    def __init__(self, app: App, settings: WorkerSettings, read_again: ReadSettings | None = None) -> None:
        """Create the parts. Nothing is opened.

        Args:
            app: The app.
            settings: Settings of the worker.
            read_again: Reads the settings again while the worker runs. None: they were given in code.

        Raises:
            ConfigurationError: The app has no jobs, and the settings name no queues.
        """
        self.app = app
        self.parts = WorkerParts(app, settings)
        self._reloader = Reloader(self.parts, self.parts.reloads, read_again)
        self.id = self.parts.worker
        self.metrics = self.parts.metrics
        self._stop = asyncio.Event()
        self._hand_back_now = asyncio.Event()
        self._opening: asyncio.Task[Any] | None = None
        """The task that waits for Redis and the services before any job is claimed; `stop` cancels it."""
        self._exit_code = 0

    @property
    def settings(self) -> WorkerSettings:
        """The settings that apply now."""
        return self.parts.live.settings

    def stop(self) -> None:
        """Stop the worker: the first call lets running jobs finish within the grace, the second hands them back."""
        if self._stop.is_set():
            self._hand_back_now.set()
        self._stop.set()
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None

    async def run(self) -> int:
        """Run jobs until `stop` is called.

        Returns:
            The exit code: 0 after a drain, 1 if a part of the worker failed.

        Raises:
            StoreAuthError: Redis refuses the user or the password.
            ConfigurationError: The probe port is taken, or a service does not open.
        """
        if not await self._open():
            return 0
        parts, tasks = self.parts, BackgroundTasks()
        parts.renewal.start(asyncio.get_running_loop())
        self._protect()
        dispatching = self._start(tasks)
        queues, jobs = ", ".join(parts.queues), ", ".join(sorted(self.app.handlers)) or "none"
        log.info("worker %s: %d slots, queues %s, jobs %s", self.id, self.settings.concurrency, queues, jobs)
        try:
            for part in await tasks.watch(self._stop):
                # Stopping is better than working with a part missing.
                self._exit_code = 1
                log.critical(
                    "worker %s: its part %r failed; the worker stops",
                    self.id,
                    part.get_name(),
                    exc_info=part.exception(),
                )
            await self._drain(dispatching)
        finally:
            await tasks.cancel()
            await self._close()
        log.info("worker %s: stopped; %d completed, %d failed", self.id, self.metrics.completed, self.metrics.failed)
        return self._exit_code

    # Opening

    async def _open(self) -> bool:
        """Wait for Redis, the services and the probe port; return False if the worker was stopped meanwhile."""
        self._opening = asyncio.current_task()
        try:
            await _check_queues(self.parts.consumers, self.parts.outage)
            await self._write_limits()
            if not self.parts.outage.is_ongoing:
                await self.parts.heartbeat.announce()
                await self._reloader.follow()
            await self._declare_schedules()
            await self.parts.services.start(self.app.services)
            self.parts.monitoring.start()
        except BaseException as error:
            self._opening = None  # from here on services close; a signal must not cancel that
            await self.parts.services.stop()
            if self.parts.heartbeat.is_announced:
                await self.parts.heartbeat.stop(())
            await self.parts.close()
            was_stopped = isinstance(error, asyncio.CancelledError) and self._stop.is_set()
            if not was_stopped and not isinstance(error, Stopped):
                raise
            log.info("worker %s: stopped before it claimed a job", self.id)
            return False
        self._opening = None
        return True

    async def _write_limits(self) -> None:
        """Write the limits of `App(queues=…)`. If Redis is unavailable, producers write them before their first job."""
        for queue, limits in self.app.queue_limits.items():
            with contextlib.suppress(StoreError):
                await set_limits(self.parts.connection, queue, limits)

    async def _declare_schedules(self) -> None:
        """Write the schedules that `@app.cron` declares. If Redis is unavailable, the next worker does."""
        if not self.app.declares_schedules:
            return
        try:
            await self.app.scheduler.declare(self.settings.app or self.app.name)
        except (StoreError, ScheduleLimitError) as error:
            log.error("worker %s: its schedules are not written: %s", self.id, error)  # noqa: TRY400  # no traceback

    def _protect(self) -> None:
        """Prepare for handlers that fork or end the process."""
        supervisor = link.of_this_process()
        forking.protect(asyncio.get_running_loop(), () if supervisor is None else (supervisor.fileno(),))
        self.parts.vitals.record_loop_thread(threading.get_ident())
        if supervisor is not None:
            exit_hooks.prepare(self.parts.vitals)

    def _start(self, tasks: BackgroundTasks) -> asyncio.Task[None]:
        """Start the tasks of all parts; return the dispatcher's."""
        parts = self.parts
        tasks.start("recorder", parts.recorder.run())
        dispatching = tasks.start("dispatcher", parts.dispatcher.run())
        tasks.start("watchdog", parts.watchdog.run())
        tasks.start("rescue", parts.rescue.run())
        tasks.start("heartbeat", parts.heartbeat.run())
        tasks.start("commands", self._stop_on_command())
        tasks.start("threads", self._limit_left_behind())
        tasks.start("monitoring", parts.monitoring.run())
        tasks.start("activity log", parts.activity.run())
        tasks.start("reload", self._reloader.run())
        for listener in parts.listeners:
            tasks.start(listener.name, listener.run())
        return dispatching

    # Stopping

    async def _stop_on_command(self) -> None:
        """Stop the worker as SIGTERM does when a user tells it to (`jobpools workers stop`)."""
        await self.parts.commands.stop_requested.wait()
        self.stop()
        await asyncio.Event().wait()

    async def _limit_left_behind(self) -> None:
        """Stop the worker when threads that outlived their jobs accumulate: only a new process is free of them."""
        left_behind = self.parts.left_behind
        while left_behind.count <= self.settings.concurrency:  # noqa: ASYNC110  # a periodic check, with no event to wait for
            await asyncio.sleep(LEFT_BEHIND_CHECK_INTERVAL)
        self._exit_code = 1
        log.error(
            "worker %s: %d threads still run though their jobs timed out; it stops, so that a new worker replaces it",
            self.id,
            left_behind.count,
        )
        self.stop()
        await asyncio.Event().wait()

    async def _drain(self, dispatching: asyncio.Task[None]) -> None:
        """Stop claiming, hand back what has not started, finish what runs within the grace, hand back the rest."""
        parts, grace = self.parts, self.settings.grace
        handed_back = parts.slots.drain()
        parts.monitoring.publish()
        log.info("worker %s: draining; waiting jobs handed back: %d; running jobs: %d, which get %s to finish",
                 self.id, handed_back, len(parts.slots.running), format_duration(grace))  # fmt: skip
        await draining.empty(parts.slots, self.id, grace, self._hand_back_now)
        parts.dispatcher.finish()
        await asyncio.wait([dispatching], timeout=draining.FLUSH_TIMEOUT)  # an error of it has been logged

    async def _close(self) -> None:
        parts = self.parts
        parts.renewal.stop()
        await parts.recorder.stop()
        await parts.heartbeat.stop(parts.queues)
        parts.monitoring.stop()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await parts.services.stop()
        except BaseException as error:
            if is_cancelled(error):
                raise
            log.exception("worker %s: a service did not close; the exit code is 1", self.id)
            self._exit_code = 1
        await parts.close()
        forking.unprotect()


async def _check_queues(consumers: Sequence[Consumer], outage: Outage) -> None:
    """Check the types of the queues' keys and that Redis accepts this worker.

    If Redis is unreachable, the dispatcher tries again.

    Raises:
        StoreAuthError: Redis refuses the user or the password.
    """
    for consumer in consumers:
        try:
            await consumer.check_keys()
            await consumer.step(0)
        except StoreAuthError:
            raise
        except StoreUnavailableError as error:
            outage.failed(error, "steps")
            return
        except StoreError as error:
            consumer.errors.step_failed(error)
