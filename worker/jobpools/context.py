"""The Context of an attempt, which a handler receives as its first parameter."""

import logging
import time
from copy import deepcopy
from typing import Any, Protocol, TypeVar

from jobpools.core.jobs.job import History, Outcome
from jobpools.observability.job_fields import JobLogger, LoggedAttempt
from jobpools.service import Service
from jobpools.store.envelope import Envelope, enqueued_at

T = TypeVar("T")


class OpenServices(Protocol):
    """The services that a worker has opened."""

    def get(self, service: Service[T]) -> T:
        """Return what the worker opened for this service."""
        ...


class Source(LoggedAttempt, Protocol):
    """The source of a Context's values: an attempt in a worker, or a substitute in a test."""

    envelope: Envelope
    history: History | None
    timeout: float
    started_at: float
    """In monotonic seconds."""
    deadline: float
    """In monotonic seconds."""
    stop_outcome: Outcome | None
    """How the attempt ends if it was stopped from outside; None: it was not."""

    @property
    def max_attempts(self) -> int:
        """Maximum number of failed attempts."""
        ...

    @property
    def logger(self) -> logging.Logger:
        """The logger of the handler's module."""
        ...

    @property
    def is_cancelled(self) -> bool:
        """Whether the attempt was stopped from outside."""
        ...


class Context:
    """The attempt that a handler executes: identity of the job, attempt number, services, cancellation.

    A handler receives it as its first parameter, if that is annotated with Context or named `ctx`.

    Example:
        >>> @app.job
        ... def export(ctx: Context, rows: int) -> None:
        ...     for row in range(rows):
        ...         if ctx.cancelled:
        ...             raise TimeoutError("stopped")
        ...         ctx.service(table).write(row)
    """

    __slots__ = ("_services", "_source", "_worker")

    def __init__(self, source: Source, worker: str, services: OpenServices) -> None:
        self._source = source
        self._worker = worker
        self._services = services

    @property
    def id(self) -> str:
        """The job's id."""
        return self._source.envelope.id

    @property
    def name(self) -> str:
        """The handler's name."""
        return self._source.envelope.name

    @property
    def queue(self) -> str:
        """The queue in which the job was enqueued."""
        return self._source.envelope.queue

    @property
    def priority(self) -> str:
        """`high`, `normal` or `low`."""
        return str(self._source.envelope.priority)

    @property
    def tags(self) -> tuple[str, ...]:
        """The job's tags."""
        return tuple(self._source.envelope.tags)

    @property
    def metadata(self) -> dict[str, Any]:
        """The job's metadata: a copy of the JSON object that was given with the option `metadata`."""
        return deepcopy(self._source.envelope.meta or {})

    @property
    def attempt(self) -> int:
        """Attempt number, starting at 1; attempts whose worker crashed count."""
        past = self._source.history
        return 1 if past is None else past.attempts + past.crashes + 1

    @property
    def max_attempts(self) -> int:
        """Maximum number of failed attempts, which `Retry.max_attempts` sets; crashed attempts do not count."""
        return self._source.max_attempts

    @property
    def is_last_attempt(self) -> bool:
        """Whether the job becomes a dead letter if this attempt fails, because no attempt is left."""
        past = self._source.history
        return (0 if past is None else past.attempts) + 1 >= self._source.max_attempts

    @property
    def history(self) -> History:
        """The earlier failed and crashed attempts of this job."""
        return self._source.history or History()

    @property
    def enqueued_at(self) -> float:
        """When the job was enqueued, seconds since the epoch."""
        return enqueued_at(self._source.envelope)

    @property
    def timeout(self) -> float:
        """Maximum seconds of this attempt."""
        return self._source.timeout

    @property
    def elapsed(self) -> float:
        """Seconds since this attempt started."""
        return time.monotonic() - self._source.started_at

    @property
    def time_left(self) -> float:
        """Seconds until this attempt is stopped by its timeout; 0: the timeout has passed.

        It is extended by the time for which another job blocks the worker's event loop.
        """
        return max(0.0, self._source.deadline - time.monotonic())

    @property
    def deadline(self) -> float:
        """When this attempt is stopped by its timeout, seconds since the epoch by the worker's clock."""
        return time.time() + self._source.deadline - time.monotonic()

    @property
    def logger(self) -> "logging.LoggerAdapter[logging.Logger]":
        """The logger of the handler's module; its records name the job, also in threads that the handler starts.

        Example:
            >>> ctx.logger.info("order %d is sent", order)
        """
        return JobLogger(self._source.logger, self._source)

    @property
    def worker(self) -> str:
        """The worker's id, `<host>.<suffix>`."""
        return self._worker

    @property
    def cancelled(self) -> bool:
        """Whether the attempt must stop: it timed out, the job was cancelled, or the worker shuts down.

        A coroutine receives CancelledError as well. A thread cannot be stopped from outside: a long plain function
        checks this between its steps.
        """
        return self._source.is_cancelled

    def service(self, service: Service[T]) -> T:
        """Return the object that the worker opened for a service.

        Args:
            service: What `@app.service` returned.

        Raises:
            ConfigurationError: The worker's app did not declare the service.
        """
        return self._services.get(service)

    def __repr__(self) -> str:
        return f"<Context {self.name} {self.id} attempt={self.attempt}>"


def failure_of(context: Context, error: BaseException) -> BaseException | None:
    """Return the error with which an attempt fails when its code raises this one; None: it does not fail.

    A timeout cancels the code of an attempt, which then fails with a TimeoutError. A cancelled job does not fail.
    """
    stopped = context._source.stop_outcome  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # for middleware only
    return error if stopped is None else stopped.exception
