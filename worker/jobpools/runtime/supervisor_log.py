"""The log lines of a supervisor and its helper processes, in the form that the worker's log has."""

from collections.abc import Mapping
from typing import Any


def configure(hello: Mapping[str, Any]) -> None:
    """Send warnings and errors of this process to stderr, in the form that `hello`, the worker's description, names."""
    import logging

    from jobpools.observability import logs

    logs.configure(hello["log"], level=logging.WARNING, relayed=hello["relayed"])


def warn(hello: Mapping[str, Any], text: str) -> None:
    """Write a warning about the worker."""
    import logging

    configure(hello)
    logging.getLogger("jobpools.worker").warning("worker %s: %s", hello["worker"], text)
