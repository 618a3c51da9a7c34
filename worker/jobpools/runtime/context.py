"""What a handler may know about the attempt that it is: its first parameter, `ctx: Context`."""

from typing import TypeVar

from jobpools.core.job import History
from jobpools.runtime.services import Service, Services
from jobpools.store.codec import Envelope, enqueued_at

T = TypeVar("T")


class Context:
    """One attempt of one job."""

    __slots__ = ("_envelope", "_history", "_services", "cancelled", "timeout", "worker")

    def __init__(
        self, envelope: Envelope, history: History | None, *, worker: str, timeout: float, services: Services
    ) -> None:
        self._envelope = envelope
        self._history = history
        self._services = services
        self.worker = worker
        """The worker's id, `<host>.<start>`."""
        self.timeout = timeout
        """Seconds that this attempt may take in all."""
        self.cancelled = False
        """True once the time is over, the job was cancelled or the worker must go. A coroutine is cancelled then;
        nothing can stop a thread from outside, so a long plain function looks here between its steps."""

    @property
    def id(self) -> str:
        """The job's id."""
        return self._envelope.id

    @property
    def name(self) -> str:
        """The handler's name."""
        return self._envelope.name

    @property
    def queue(self) -> str:
        """The queue it was enqueued to."""
        return self._envelope.queue

    @property
    def priority(self) -> str:
        """`high`, `normal` or `low`."""
        return str(self._envelope.priority)

    @property
    def tags(self) -> tuple[str, ...]:
        """What `options(tags=…)` said."""
        return tuple(self._envelope.tags)

    @property
    def attempt(self) -> int:
        """1 for the first one; attempts that a vanished worker took with it count here."""
        return 1 if self._history is None else self._history.attempts + self._history.crashes + 1

    @property
    def history(self) -> History:
        """What went wrong before this attempt."""
        return self._history or History()

    @property
    def enqueued_at(self) -> float:
        """When it was enqueued, seconds since the epoch."""
        return enqueued_at(self._envelope)

    def service(self, service: Service[T]) -> T:
        """What the worker opened for this service. Raises ConfigurationError when the app has not declared it."""
        return self._services.get(service)

    def __repr__(self) -> str:
        return f"<Context {self.name} {self.id} attempt={self.attempt}>"
