"""Run one worker as a process: its signals, its event loop, and its exit code."""

import asyncio
import contextlib
import gc
import logging
import os

from jobpools.app import App
from jobpools.runtime import event_loop, link, worker_log
from jobpools.runtime.attempt import Attempt
from jobpools.runtime.draining import FLUSH_TIMEOUT
from jobpools.runtime.loading import import_app
from jobpools.runtime.reloading import ReadSettings
from jobpools.runtime.stopping import Stopped, Stopping, stopping
from jobpools.runtime.worker import Worker
from jobpools.settings import WorkerSettings

GC_THRESHOLD = 10_000
"""Number of new objects after which Python searches for cycles.

The default of 700 starts a search for every ninety claimed jobs, whose objects form no cycles. The searches took a
tenth of a worker's CPU.
"""

log = logging.getLogger("jobpools.worker")


def _use_one_redis(app: App, settings: WorkerSettings) -> WorkerSettings:
    """Make the worker and what its handlers enqueue use one Redis: that of the settings, else the app's."""
    if app.redis and "redis_url" not in settings.model_fields_set:
        settings = settings.model_copy(update={"redis_url": app.redis})
    app.use(app.client_of(settings.redis_url))
    return settings


def run_worker(
    settings: WorkerSettings,
    app: App | None = None,
    signals: Stopping | None = None,
    read_again: ReadSettings | None = None,
) -> int:
    """Run one worker in this process until SIGTERM, SIGINT, SIGHUP or SIGQUIT.

    `jobpools worker` calls this in a child process of its supervisor. Called from Python, there is no supervisor:
    leases are not renewed while a handler holds the GIL for longer than the lease, the death of the process is noticed
    when its leases expire, and processes that handlers started may outlive it.

    Args:
        settings: Settings of the worker.
        app: The app. Default: the one that `settings.app` names.
        signals: The signal handling that the caller has started. Default: this function starts it.
        read_again: Reads the settings again for `jobpools workers reload`. Default: the worker refuses to reload.

    Returns:
        The exit code: 0 after a drain, 1 if a part of the worker failed.

    Raises:
        AppImportError: The app cannot be imported.
        ConfigurationError: The app has no jobs, a service does not open, or the probe port is taken.
        StoreAuthError: Redis refuses the user or the password.
    """
    try:
        with stopping() if signals is None else contextlib.nullcontext(signals) as handled:
            found = app or import_app(settings.app)  # before the event loop starts: the module may run one of its own
            return _run(_use_one_redis(found, settings), found, handled, read_again)
    except Stopped as signal_name:
        log.info("stopped by %s before the worker started; no job was claimed", signal_name)
        return 0


def _run(settings: WorkerSettings, app: App, signals: Stopping, read_again: ReadSettings | None) -> int:
    worker_log.configure_app(settings.log)
    gc.set_threshold(GC_THRESHOLD)

    worker: Worker | None = None

    async def work() -> int:
        nonlocal worker
        worker = made = Worker(app, settings, read_again)
        loop = asyncio.get_running_loop()
        loop.set_default_executor(worker.parts.executor)
        with signals.working(loop, worker.stop, lambda: made.parts.services.is_blocking):
            code = await worker.run()
        if worker.parts.left_behind.tasks or not worker.parts.executor.drained(FLUSH_TIMEOUT):
            log.error("worker %s: code of %d jobs still runs; the worker ends without waiting for it", worker.id,
                      worker.parts.left_behind.count)  # fmt: skip
            # The event loop would wait for it forever.
            logging.shutdown()
            if (supervisor := link.of_this_process()) is not None:
                supervisor.goodbye(code)
            os._exit(code)
        return code

    def blame(attempt: Attempt, error: BaseException) -> None:
        if worker is not None:
            worker.parts.slots.raised_outside(attempt, error)

    return event_loop.run(work(), blame)
