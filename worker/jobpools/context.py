"""The Context of an attempt, which a handler receives as its first parameter."""

from typing import Protocol, TypeVar

from jobpools.core.jobs.job import History
from jobpools.service import Service
from jobpools.store.envelope import Envelope, enqueued_at

T = TypeVar("T")


class OpenServices(Protocol):
    """The services that a worker has opened."""

    def get(self, service: Service[T]) -> T:
        """Return what the worker opened for this service."""
        ...


class Source(Protocol):
    """The source of a Context's values: an attempt in a worker, or a substitute in a test."""

    envelope: Envelope
    history: History | None
    timeout: float

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
    def attempt(self) -> int:
        """Attempt number, starting at 1; attempts whose worker crashed count."""
        past = self._source.history
        return 1 if past is None else past.attempts + past.crashes + 1

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
