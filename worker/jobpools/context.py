"""What a handler may know about the attempt that it is: its first parameter, `ctx: Context`."""

from typing import Protocol, TypeVar

from jobpools.core.jobs.job import History
from jobpools.service import Service
from jobpools.store.codec import Envelope, enqueued_at

T = TypeVar("T")


class OpenServices(Protocol):
    """The services that a worker has opened."""

    def get(self, service: Service[T]) -> T:
        """Return what the worker opened for this service."""
        ...


class Source(Protocol):
    """Where a context's answers come from: the attempt in hand, or a stand-in of a test."""

    envelope: Envelope
    history: History | None
    timeout: float

    @property
    def is_cancelled(self) -> bool:
        """Whether the attempt was stopped from outside."""
        ...


class Context:
    """One attempt of one job."""

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
        """The queue it was enqueued to."""
        return self._source.envelope.queue

    @property
    def priority(self) -> str:
        """`high`, `normal` or `low`."""
        return str(self._source.envelope.priority)

    @property
    def tags(self) -> tuple[str, ...]:
        """What `options(tags=…)` said."""
        return tuple(self._source.envelope.tags)

    @property
    def attempt(self) -> int:
        """1 for the first one; attempts that a vanished worker took with it count here."""
        past = self._source.history
        return 1 if past is None else past.attempts + past.crashes + 1

    @property
    def history(self) -> History:
        """What went wrong before this attempt."""
        return self._source.history or History()

    @property
    def enqueued_at(self) -> float:
        """When it was enqueued, seconds since the epoch."""
        return enqueued_at(self._source.envelope)

    @property
    def timeout(self) -> float:
        """Seconds that this attempt may take in all."""
        return self._source.timeout

    @property
    def worker(self) -> str:
        """The worker's id, `<host>.<start>`."""
        return self._worker

    @property
    def cancelled(self) -> bool:
        """True once the time is over, the job was cancelled or the worker must go.

        A coroutine is cancelled then. Nothing can stop a thread from outside: a long plain function looks here between
        its steps.
        """
        return self._source.is_cancelled

    def service(self, service: Service[T]) -> T:
        """What the worker opened for this service. Raises ConfigurationError when the app has not declared it."""
        return self._services.get(service)

    def __repr__(self) -> str:
        return f"<Context {self.name} {self.id} attempt={self.attempt}>"
