"""A handler: the function that runs a job, and what `@app.job` registered about it."""

import inspect
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Generic, Literal, ParamSpec, Protocol, TypeVar, Unpack

from jobpools.client import Call, Client
from jobpools.core.jobs.job import Priority
from jobpools.errors import ConfigurationError
from jobpools.handle import JobHandle
from jobpools.options import Options, OptionValues
from jobpools.signature import Signature, code_of, takes_context

P = ParamSpec("P")
R = TypeVar("R")
Executor = Literal["async", "thread"]


class Owner(Protocol):
    """The part of an App that its handlers use."""

    queue: str
    """The queue of handlers that name none."""

    @property
    @abstractmethod
    def client(self) -> Client:
        """Return the client that sends the handler's jobs."""


class Bound(Generic[P, R]):
    """A handler with options for the jobs that are enqueued through it: the result of `Handler.options`."""

    __slots__ = ("_handler", "_options")

    def __init__(self, handler: "Handler[P, R]", options: Options) -> None:
        self._handler = handler
        self._options = options

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """Return the job without enqueueing it, for `app.enqueue_many`.

        Raises:
            ArgumentsError: The arguments do not match the handler's signature, or are not JSON.
            PayloadTooLargeError: The encoded job is larger than `max_payload`.
        """
        return self._handler.build(self._options, args, kwargs)

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Enqueue one job; the arguments are those of the handler, without `ctx`.

        Returns:
            A handle of the job; its `new` is False if a job with the same `id` was known already.

        Raises:
            ArgumentsError: The arguments do not match the handler's signature, or are not JSON. Nothing was written.
            PayloadTooLargeError: The encoded job is larger than `max_payload`. Nothing was written.
            QueueFullError: The queue was full for longer than `block_timeout`, or has too many scheduled jobs.
            StoreError: Redis refused the command or is unreachable. It is unknown whether the job was enqueued; a
                retry with the same `id` enqueues it at most once.
        """
        return await self._handler.app.client.enqueue(self._handler.build(self._options, args, kwargs))

    def enqueue_sync(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Enqueue one job from code without an event loop; arguments, result and errors are those of `enqueue`."""
        return self._handler.app.client.enqueue_sync(self._handler.build(self._options, args, kwargs))


class Handler(Generic[P, R]):
    """A function that `@app.job` registered. `enqueue` takes the function's arguments, without `ctx`.

    Calling the handler calls the function itself, as a unit test does.

    Example:
        >>> job = await order_confirmation.enqueue(to="ada@example.com", order=7)
        >>> await job.result(timeout="10s")
    """

    def __init__(self, app: Owner, function: Callable[..., Any], *, name: str, options: Options, executor: str) -> None:
        self.app = app
        self.function = function
        """The decorated function."""
        self.name = name
        self.queue = options.queue or app.queue
        self.defaults = options
        """The options of `@app.job`; None where the pool's defaults apply."""
        self.executor = executor
        self.takes_context = takes_context(function)
        self.signature = Signature(function, name)
        self._decode_result = self.signature.decode_result  # bound once: each handle keeps a reference
        # max_crashes travels with the job: a worker or operator that rescues it may not have this code.
        self._default_options = Options(
            queue=self.queue,
            priority=options.priority,
            tags=options.tags,
            metadata=options.metadata,
            max_crashes=options.max_crashes,
            expires=options.expires,
        )
        self.__doc__ = function.__doc__
        self.__name__ = getattr(function, "__name__", name)
        self.__wrapped__ = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself in this process."""
        return self.function(*args, **kwargs)

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """Return the job without enqueueing it, for `app.enqueue_many`.

        Raises:
            ArgumentsError: The arguments do not match the handler's signature, or are not JSON.
            PayloadTooLargeError: The encoded job is larger than `max_payload`.
        """
        return self.build(self._default_options, args, kwargs)

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Enqueue one job; the arguments are those of the handler, without `ctx`.

        Returns:
            A handle of the job; its `new` is False if a job with the same `id` was known already.

        Raises:
            ArgumentsError: The arguments do not match the handler's signature, or are not JSON. Nothing was written.
            PayloadTooLargeError: The encoded job is larger than `max_payload`. Nothing was written.
            QueueFullError: The queue was full for longer than `block_timeout`, or has too many scheduled jobs.
            StoreError: Redis refused the command or is unreachable. It is unknown whether the job was enqueued; a
                retry with the same `id` enqueues it at most once.
        """
        return await self.app.client.enqueue(self.build(self._default_options, args, kwargs))

    def enqueue_sync(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Enqueue one job from code without an event loop; arguments, result and errors are those of `enqueue`."""
        return self.app.client.enqueue_sync(self.build(self._default_options, args, kwargs))

    def options(self, **options: Unpack[OptionValues]) -> Bound[P, R]:
        """Return the handler with options for the jobs that are enqueued through it.

        Args:
            queue: Name of the queue: 1 to 63 letters and digits, with - _ . between them. Default: the handler's.
            priority: `"high"`, `"normal"` (default) or `"low"`.
            tags: Labels for people and handlers: `ctx.tags` and `jobpools jobs show` return them.
            metadata: A JSON object that travels with the job: `ctx.metadata` and `jobpools jobs show` return it. Its
                keys are added to those of `@app.job(metadata=…)`, and replace equal ones.
            timeout: Maximum duration of one attempt: seconds, text such as `"90s"` or `"1h30m"`, or a timedelta; more
                than 0. Default: the handler's, else the pool's `spec.job.timeout` (5 minutes).
            retry: When and how often a failed job is retried, without a `function`. Default: the handler's, else the
                pool's `spec.job.retry`.
            result_ttl: How long the completed job and its result are kept, in the same forms as `timeout`; 0 keeps
                neither. Default: the handler's, else the pool's `spec.job.resultTTL` (1 day).
            max_crashes: Number of crashes of its worker after which the job is dead; at least 1. Default: the
                handler's, else the pool's `spec.job.maxCrashes` (3).
            expires: Time after which no attempt starts, counted from when the server accepts the job, in the same forms
                as `timeout`. Such a job becomes a dead letter with the reason `expired`. Default: the handler's, else
                none.
            delay: Time before the job may run, in the same forms as `timeout`. Not together with `at`.
            at: Time before which the job does not run: a datetime with a time zone.
            id: The job's own id, for idempotent enqueueing: while a job with this id is known, another is not enqueued.
                Default: a random id.

        Returns:
            The handler with these options; it has the methods `call`, `enqueue` and `enqueue_sync`.

        Raises:
            ConfigurationError: An option is unknown or has an invalid value.

        Example:
            >>> await order_confirmation.options(priority="high", delay="10m").enqueue(to="ada@example.com", order=7)
        """
        return Bound(self, self.with_options(f"{self.name}.options", options))

    def with_options(self, call: str, options: OptionValues) -> Options:
        """Return these options, completed with those of the handler that each job carries; errors name `call`."""
        own: OptionValues = {
            "queue": self.queue,
            "priority": Priority(self.defaults.priority),
            "tags": self.defaults.tags,
        }
        if self.defaults.max_crashes is not None:
            own["max_crashes"] = self.defaults.max_crashes
        if self.defaults.expires is not None:
            own["expires"] = self.defaults.expires
        found = Options.make(call, **(own | options))
        if self.defaults.metadata:
            found = replace(found, metadata=self.defaults.metadata | (found.metadata or {}))
        return found

    def build(self, options: Options, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call[R]:
        """Return the job for these arguments. Raises ArgumentsError and PayloadTooLargeError."""
        return self.app.client.call(self.name, self.signature.encode(args, kwargs), options, self._decode_result)

    def __repr__(self) -> str:
        return f"<Handler {self.name} queue={self.queue}>"


def check_function(function: Any) -> None:
    """Raise ConfigurationError for an object that cannot be a handler."""
    if isinstance(function, Handler):
        raise ConfigurationError(f"@app.job: {function.name} is a job already; use @app.job once per function")
    if not callable(function) or inspect.isclass(function):
        raise ConfigurationError(f"@app.job: {function!r} is not a function; write @app.job or @app.job(name=…)")
    if "self" in inspect.signature(function).parameters:
        raise ConfigurationError(f"@app.job: {function!r} takes self; decorate a function or a bound method")


def executor_of(function: Callable[..., Any], name: str, wanted: str | None) -> Executor:
    """Return where the function runs. Raises ConfigurationError if it is a generator or `wanted` does not fit it."""
    code = code_of(function)
    if inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code):
        raise ConfigurationError(f"job {name}: a generator cannot be a job; return the result, or enqueue further jobs")
    executor: Executor = "async" if inspect.iscoroutinefunction(code) else "thread"
    if wanted not in (None, executor):
        kind = "coroutine" if executor == "async" else "plain"
        raise ConfigurationError(f"job {name}: executor={wanted!r} does not fit a {kind} function; use {executor!r}")
    return executor
