"""Errors that concern one queue and not the server, such as a key of another type. Other queues continue."""

import logging
import time

from jobpools.errors import StoreError
from jobpools.runtime.outage import Tries
from jobpools.store import draws

MAX_LOGGED = 1000
"""Maximum number of texts that are kept to log each once: there can be many names of unknown handlers."""

log = logging.getLogger("jobpools.worker")


class QueueErrors:
    """The errors of one queue: each is logged once, and the queue is tried again after a delay."""

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self._tries = Tries()
        self._retry_at: float | None = None
        self._has_failed_step = False
        """Whether the latest step was refused."""
        self._logged: set[str] = set()

    @property
    def is_failing(self) -> bool:
        """Whether the latest step was refused, and the queue's keys have not been checked since."""
        return self._retry_at is not None

    @property
    def is_backing_off(self) -> bool:
        """Whether the queue is failing and the next try is not due."""
        return self._retry_at is not None and self._retry_at > time.monotonic()

    @property
    def retry_in(self) -> float | None:
        """Seconds until the next try; None: the queue is not failing."""
        return None if self._retry_at is None else max(self._retry_at - time.monotonic(), 0.0)

    def step_failed(self, error: StoreError) -> None:
        """Back off: Redis refused a step of this queue."""
        self._retry_at = time.monotonic() + self._tries.failed(draws.fraction())
        self._has_failed_step = True
        self.report(error)

    def keys_checked(self) -> None:
        """Allow the next step: the queue's keys have the right types."""
        self._retry_at = None

    def step_succeeded(self) -> None:
        """Reset the backoff: a step succeeded."""
        if self._has_failed_step:
            self._has_failed_step = False
            self._tries.succeeded()

    def report(self, error: StoreError) -> None:
        """Log an error of this queue, once."""
        if self.is_new(str(error)):
            log.error("queue %s: %s; the worker tries again; its other queues are not affected", self._queue, error)

    def is_new(self, text: str) -> bool:
        """Return whether this text has not been logged, and remember it."""
        if text in self._logged:
            return False
        if len(self._logged) >= MAX_LOGGED:
            self._logged.clear()
        self._logged.add(text)
        return True
