"""Errors that concern one queue and not the server, as a key of another type: the other queues are not held up."""

import logging
import time

from jobpools.errors import StoreError
from jobpools.runtime.outage import Tries
from jobpools.store import draws

REMEMBERED = 1000
"""Maximum texts that are remembered to log each once: names of unknown jobs can be many."""

log = logging.getLogger("jobpools.worker")


class QueueErrors:
    """Logs each error of one queue once, and says when the queue is tried again."""

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self._tries = Tries()
        self._retry_at: float | None = None
        self._step_failed = False
        """The latest step was refused."""
        self._logged: set[str] = set()

    @property
    def is_failing(self) -> bool:
        """The latest step was refused, and the queue's keys were not checked since."""
        return self._retry_at is not None

    @property
    def is_backing_off(self) -> bool:
        """The queue is failing, and it is not time for the next try."""
        return self._retry_at is not None and self._retry_at > time.monotonic()

    @property
    def retry_in(self) -> float | None:
        """Seconds until the next try; None: the queue is not failing."""
        return None if self._retry_at is None else max(self._retry_at - time.monotonic(), 0.0)

    def fail(self, error: StoreError) -> None:
        """Back off: Redis refused a step of this queue."""
        self._retry_at = time.monotonic() + self._tries.failed(draws.fraction())
        self._step_failed = True
        self.report(error)

    def keys_are_right(self) -> None:
        """Allow the next step: the queue's keys have the types that they should have."""
        self._retry_at = None

    def succeed(self) -> None:
        """Reset the backoff: a step succeeded."""
        if self._step_failed:
            self._step_failed = False
            self._tries.succeeded()

    def report(self, error: StoreError) -> None:
        """Log an error of this queue, once."""
        if self.is_new(str(error)):
            log.error("queue %s: %s; the worker tries again, and its other queues go on", self._queue, error)

    def is_new(self, text: str) -> bool:
        """Return whether this text was not asked about before."""
        if text in self._logged:
            return False
        if len(self._logged) >= REMEMBERED:
            self._logged.clear()
        self._logged.add(text)
        return True
