"""What a supervisor does in its worker's place. Imports happen on use, so that the supervisor stays small."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobpools.runtime.blame import Death


def extend(hello: Mapping[str, Any], silence: float) -> None:
    """Log that the worker has made no progress for so many seconds, and renew its leases until killed."""
    say(
        hello,
        f"worker {hello['worker']}: it has made no progress for {silence:.1f} s: a handler holds the GIL, or the "
        "process is stopped; its supervisor renews its leases",
    )
    from jobpools.runtime import takeover

    takeover.extend(hello)


def settle(hello: Mapping[str, Any], death: "Death") -> None:
    """Settle what a dead worker held."""
    from jobpools.runtime import takeover
    from jobpools.runtime.blame import blame

    takeover.settle(hello, blame(death))


def tell(status: int, dump: str) -> None:
    """Write to stderr that a signal ended the worker while it imported its app: the worker itself cannot."""
    import os
    import signal
    import sys
    import sysconfig
    from pathlib import Path

    from jobpools.runtime.blame import place_of

    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return
    told = sys.argv[2] if sys.argv[2:3] and not sys.argv[2].startswith("-") else os.environ.get("JOBPOOLS_APP", "")
    app = f"{told}: " if told else ""
    libraries = (*(sysconfig.get_path(each) for each in ("stdlib", "purelib")), str(Path(__file__).parents[1]))
    name, place = signal.Signals(-code).name, place_of(dump, libraries)
    sys.stderr.write(f"jobpools: {app}the worker was killed by {name} while it started{place}\n")


def say(hello: Mapping[str, Any], text: str) -> None:
    """Write a warning to the log, in the worker's form."""
    import logging

    from jobpools.observability import logs

    logs.configure(hello["log"], passed_on=hello["passed_on"])
    logging.getLogger("jobpools.worker").warning("%s", text)
