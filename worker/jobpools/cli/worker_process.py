"""`jobpools worker`: one worker in this process. Imports only what a worker needs, so that it starts fast."""

import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobpools.errors import ConfigurationError, JobpoolsError, SettingsError

if TYPE_CHECKING:
    from jobpools.core.configuration.resolution import Resolution
    from jobpools.runtime.reloading import ReadSettings
    from jobpools.runtime.stopping import Stopping
    from jobpools.settings import WorkerSettings
    from jobpools.settings_reader import Inputs

log = logging.getLogger("jobpools.worker")


def run(options: Mapping[str, Any]) -> int:
    """Run a worker until SIGTERM and return the exit code. `options` that are not None override the environment."""
    from jobpools.core.configuration.sources import unknown_variables
    from jobpools.runtime import worker_log
    from jobpools.runtime.stopping import Stopped, stopping
    from jobpools.settings import READY_FD
    from jobpools.settings_reader import Inputs, read

    ready_descriptor = os.environ.get(READY_FD, "")
    try:
        with stopping() as signals:
            # Copies: handlers may change the environment and the current folder before the settings are read again.
            inputs = Inputs(options, dict(os.environ), Path.cwd())
            found = read(inputs)
            with worker_log.isolated(
                found.settings.log, worker_log.level_of(found.settings.log_level), relayed=bool(ready_descriptor)
            ) as output:
                for note in unknown_variables(os.environ):
                    log.warning("%s", note)
                try:
                    return _import_and_run(found, inputs, ready_descriptor, signals)
                except JobpoolsError as error:
                    output.write(_line(str(error)))
                    return 1
    except SettingsError as error:
        sys.stderr.writelines(f"{_line(problem)}\n" for problem in error.problems)
        return 1
    except JobpoolsError as error:
        sys.stderr.write(f"{_line(str(error))}\n")
        return 1
    except Stopped:
        return 0


def _import_and_run(
    found: "Resolution[WorkerSettings]", inputs: "Inputs", ready_descriptor: str, signals: "Stopping"
) -> int:
    """Import the app, tell the parent that the worker is ready, and run it."""
    from jobpools.core.configuration.resolution import source_of
    from jobpools.runtime import worker_log
    from jobpools.runtime.loading import import_app
    from jobpools.runtime.run_worker import run_worker
    from jobpools.runtime.stopping import Stopped
    from jobpools.settings_reader import with_app_url

    settings = found.settings
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
        worker_log.set_level(worker_log.level_of(settings.log_level, relayed=True))
        _report_ready(ready_descriptor)
    used = with_app_url(found, app.redis)
    if app.redis and used.redis_url != app.redis:
        log.info("%s: its App names another Redis; the URL of %s is used", settings.app, source_of(found, "redis_url"))
    return run_worker(used, app, signals, _reader(inputs, app.redis))


def _reader(inputs: "Inputs", app_url: str | None) -> "ReadSettings":
    """Return what reads the settings again. `app_url`: the URL of the App."""
    from jobpools.settings_reader import read, with_app_url

    def read_again(variables: Mapping[str, str]) -> "Resolution[WorkerSettings]":
        after = read(inputs._replace(environ={**inputs.environ, **variables}))
        return after._replace(settings=with_app_url(after, app_url))

    return read_again


def _line(text: str) -> str:
    """Return the text of an error as one line."""
    return f"jobpools: {' '.join(text.split())}"


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
