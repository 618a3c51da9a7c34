"""`jobpools worker`: one worker in this process. Imports nothing that a worker does not need."""

import logging
import os
import sys
from collections.abc import Mapping
from typing import Any

from jobpools.errors import ConfigurationError, JobpoolsError


def run(flags: Mapping[str, Any]) -> int:
    """Run until SIGTERM; returns the exit code. `flags` (not None) go before the environment."""
    from jobpools.runtime import logs
    from jobpools.runtime.loading import import_app
    from jobpools.runtime.worker import run_worker
    from jobpools.settings import READY_FD, WorkerSettings

    try:
        settings = WorkerSettings.from_env(os.environ, **flags)
        if not settings.app:
            raise ConfigurationError("which app? Write jobpools worker module:name, or set JOBPOOLS_APP")
        descriptor = os.environ.get(READY_FD, "")
        logs.configure(settings.log, passed_on=bool(descriptor))
        app = import_app(settings.app)
        if descriptor:
            # Whoever gave it tells people of our comings and goings.
            logging.getLogger("jobpools.worker").setLevel(logging.WARNING)
            _tell(descriptor)
        return run_worker(settings, app)
    except JobpoolsError as error:
        sys.stderr.write(f"jobpools: {' '.join(str(error).split())}\n")
        return 1


def _tell(descriptor: str) -> None:
    """Write a byte to whoever waits for it."""
    from jobpools.settings import READY_FD

    try:
        os.write(int(descriptor), b"1")
        os.close(int(descriptor))
    except (ValueError, OSError) as error:
        raise ConfigurationError(f"{READY_FD}: {descriptor!r} is no open file descriptor") from error
