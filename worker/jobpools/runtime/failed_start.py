"""Report on stderr that a signal ended the worker while it imported its app: the worker itself cannot."""

import os
import signal
import sys
import sysconfig
from pathlib import Path

from jobpools.runtime.crash_report import location_of


def report(exit_code: int, dump: str) -> None:
    """Write one line for a worker that a signal ended before it could claim jobs.

    Args:
        exit_code: Exit code of the worker; negative for a signal. Otherwise nothing is written: the worker has
            written a line itself.
        dump: The traceback that faulthandler wrote.
    """
    if exit_code >= 0:
        return
    given = sys.argv[2] if sys.argv[2:3] and not sys.argv[2].startswith("-") else os.environ.get("JOBPOOLS_APP", "")
    app = f"{given}: " if given else ""
    libraries = (*(sysconfig.get_path(each) for each in ("stdlib", "purelib")), str(Path(__file__).parents[1]))
    name, location = signal.Signals(-exit_code).name, location_of(dump, libraries)
    sys.stderr.write(f"jobpools: {app}the worker was killed by {name} while it started{location}\n")
