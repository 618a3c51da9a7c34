"""What a supervisor does in its worker's place. All that it needs is imported when it is needed: it stays small."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobpools.runtime.blame import Death


def extend(hello: Mapping[str, Any], silence: float) -> None:
    """Say that nothing of the worker has moved for so many seconds, and renew its leases until killed."""
    say(
        hello,
        f"worker {hello['worker']}: nothing of it has moved for {silence:.1f} s: a handler holds the GIL, or the "
        "process is stopped; its supervisor renews its leases",
    )
    from jobpools.runtime import takeover

    takeover.extend(hello)


def settle(hello: Mapping[str, Any], death: "Death") -> None:
    """Settle what a dead worker held."""
    from jobpools.runtime import takeover
    from jobpools.runtime.blame import blame

    takeover.settle(hello, blame(death))


def say(hello: Mapping[str, Any], text: str) -> None:
    """Write a warning to the log, in the worker's form."""
    import logging

    from jobpools.runtime import logs

    logs.configure(hello["log"])
    logging.getLogger("jobpools.worker").warning("%s", text)
