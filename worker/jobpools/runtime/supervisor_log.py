"""The log lines of a supervisor and its helper processes, in the form that the worker's log has."""

from collections.abc import Mapping
from typing import Any


def configure(description: Mapping[str, Any]) -> None:
    """Send warnings and errors of this process to stderr, in the format that the worker's description names."""
    import logging

    from jobpools.observability import logs

    logs.configure(description["log"], level=logging.WARNING, relayed=description["relayed"])


def warn(description: Mapping[str, Any], text: str) -> None:
    """Write a warning about the worker."""
    import logging

    configure(description)
    logging.getLogger("jobpools.worker").warning("worker %s: %s", description["worker"], text)
