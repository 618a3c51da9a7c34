"""`jobpools worker`: one worker in this process. Imports only what a worker needs, so that it starts fast."""

import logging
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jobpools.errors import ConfigurationError, JobpoolsError

if TYPE_CHECKING:
    from jobpools.runtime.stopping import Stopping
    from jobpools.settings import WorkerSettings

log = logging.getLogger("jobpools.worker")


def run(flags: Mapping[str, Any]) -> int:
    """Run a worker until SIGTERM and return the exit code. `flags` that are not None override the environment."""
    from jobpools.runtime import worker_log
    from jobpools.runtime.stopping import Stopped, stopping
    from jobpools.settings import READY_FD, WorkerSettings

    ready_descriptor = os.environ.get(READY_FD, "")
    try:
        with stopping() as signals:
            settings = WorkerSettings.from_env(os.environ, **flags)
            with worker_log.isolated(settings.log, relayed=bool(ready_descriptor)) as output:
                try:
                    return _import_and_run(settings, ready_descriptor, signals)
                except JobpoolsError as error:
                    output.write(_line(error))
                    return 1
    except JobpoolsError as error:  # from the settings
        sys.stderr.write(f"{_line(error)}\n")
        return 1
    except Stopped:
        return 0


def _import_and_run(settings: "WorkerSettings", ready_descriptor: str, signals: "Stopping") -> int:
    """Import the app, tell the parent that the worker is ready, and run it."""
    from jobpools.runtime import worker_log
    from jobpools.runtime.loading import import_app
    from jobpools.runtime.run_worker import run_worker
    from jobpools.runtime.stopping import Stopped

    if not settings.app:
        raise ConfigurationError("worker: no app given; write jobpools worker module:name or set JOBPOOLS_APP")
    try:
        app = import_app(settings.app)
        signals.check()
    except Stopped as stopped:
        log.info("stopped by %s while the app was imported; no job was claimed", stopped)
        return 0
    worker_log.configure_app(settings.log, relayed=bool(ready_descriptor))
    if ready_descriptor:
        # The parent, `jobpools up`, prints when workers start and end.
        worker_log.set_level(logging.WARNING)
        _report_ready(ready_descriptor)
    return run_worker(settings, app, signals)


def _line(error: JobpoolsError) -> str:
    """Return the error as one line."""
    return f"jobpools: {' '.join(str(error).split())}"


def _report_ready(descriptor: str) -> None:
    """Write a byte to the parent, which waits for it."""
    from jobpools.settings import READY_FD

    try:
        os.write(int(descriptor), b"1")
        os.close(int(descriptor))
    except (ValueError, OSError) as error:
        raise ConfigurationError(
            f"{READY_FD}: {descriptor!r} is not an open file descriptor; unset it, only `jobpools up` sets it"
        ) from error
