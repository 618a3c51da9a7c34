"""`App` and `@app.job`: the handlers of an application, and how their jobs are enqueued."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    Unpack,
    overload,
)

from jobpools import middleware
from jobpools.app_options import CHECKS, AppValues
from jobpools.client import Call, Client
from jobpools.context import Context
from jobpools.core.jobs.policies import QueueLimits
from jobpools.core.text.did_you_mean import did_you_mean
from jobpools.core.text.names import JobId
from jobpools.enqueue_hooks import EnqueueHooks
from jobpools.errors import ArgumentsError, ConfigurationError, UnknownJobError
from jobpools.handle import JobHandle
from jobpools.handlers import Executor, Handler, check_function, executor_of
from jobpools.middleware import Around, Middleware
from jobpools.options import HandlerValues, Options, OptionValues, checked
from jobpools.result_iteration import results, results_sync
from jobpools.schedule_decorator import DEFAULT_LIMIT, WithSchedules
from jobpools.service import Service
from jobpools.settings import DEFAULT_BLOCK_TIMEOUT
from jobpools.settings_reader import Inputs, read_producer

if TYPE_CHECKING:
    from jobpools.jobs import Jobs

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
M = TypeVar("M", bound=Around | Middleware | type[Middleware])


class Decorator(Protocol):
    """The result of `@app.job(…)`: turns a function into a Handler with the same arguments and result."""

    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], /) -> Handler[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], R], /) -> Handler[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Handler[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Handler[P, R]: ...


class App(WithSchedules):
    """The handlers of an application, and the Redis or Valkey in which their jobs are enqueued.

    It connects when it first enqueues a job, once per event loop. `async with app:` closes the connections.

    Args:
        name: Name of the application, for messages.
        redis: URL that starts with redis://, rediss:// (TLS), redis+sentinel:// or redis+cluster://. Default: the
            variable JOBPOOLS_REDIS_URL, else that of the settings file, else redis://127.0.0.1:6379/0.
        queue: Queue of handlers that name none. Default: `"default"`.
        queues: Limits of queues, by name: `{"emails": {"max_depth": 5000}}`. They are written to Redis when a
            worker of this app starts, and before its first job is enqueued. Default: the limits in Redis, else
            10,000 queued and 10,000 scheduled jobs.
        block_timeout: Maximum time that enqueueing waits for room in a full queue whose overflow is `Block`: seconds,
            text such as `"90s"`, or a timedelta. Default: 30 seconds.
        max_payload: Maximum bytes of an encoded job. Default: the variable JOBPOOLS_MAX_PAYLOAD, else
            that of the settings file, else 1 MiB.
        max_schedules: Maximum number of schedules made in code in this Redis; 0: unlimited. Default: 1,000.

    Raises:
        ConfigurationError: An argument is unknown or has an invalid value.

    Example:
        >>> app = App("shop", redis="redis://localhost:6379/0")
        >>> @app.job(queue="emails", timeout="2m")
        ... async def order_confirmation(ctx: Context, to: str, order: int) -> str: ...
        >>> job = await order_confirmation.enqueue(to="ada@example.com", order=7)
    """

    def __init__(self, name: str, **given: Unpack[AppValues]) -> None:
        values = checked("App", {"name": name, **given}, CHECKS)
        super().__init__(values.get("max_schedules", DEFAULT_LIMIT))
        self.name = name
        self.queue: str = values.get("queue", "default")
        self.handlers: dict[str, Handler[..., Any]] = {}
        """The handlers, by name."""
        self.services: list[Service[Any]] = []
        self.results, self.results_sync = results, results_sync  # a static method would have one overload only
        self.middlewares: list[Around] = []
        """The middlewares around attempts."""
        self.redis: str | None = values.get("redis")
        """The argument `redis`; None: the environment determines the URL."""
        self.queue_limits: dict[str, QueueLimits] = values.get("queues", {})
        """The argument `queues`."""
        self._block_timeout: float = values.get("block_timeout", DEFAULT_BLOCK_TIMEOUT)
        self._max_payload: int | None = values.get("max_payload")
        self._hooks = EnqueueHooks()
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        """Return the client that enqueues jobs; it connects when it is first used."""
        if self._client is None:
            self._client = self.client_of(self.redis)
        return self._client

    @property
    def jobs(self) -> "Jobs":
        """Return the jobs of all queues: `await app.jobs.search(state="dead", queue="emails")`."""
        from jobpools.jobs import Jobs  # not needed by workers and producers

        return Jobs(self.client, self.handlers)

    def client_of(self, url: str | None) -> Client:
        """Return a new client with the options and middlewares of this app.

        Args:
            url: URL of Redis or Valkey; None: that of the environment or of the settings file.

        Raises:
            SettingsError: Settings in the environment or in the file are unknown or invalid.
        """
        found = read_producer(Inputs())
        return Client(
            url or found.redis_url,
            self._max_payload or found.max_payload,
            block_timeout=self._block_timeout,
            limits=self.queue_limits,
            hooks=self._hooks,
        )

    def use(self, client: Client) -> Client | None:
        """Enqueue jobs through this client from now on, and return the previous one."""
        previous, self._client = self._client, client
        return previous

    @overload
    def job(self, function: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], /) -> Handler[P, R]: ...
    @overload
    def job(self, function: Callable[Concatenate[Context, P], R], /) -> Handler[P, R]: ...
    @overload
    def job(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Handler[P, R]: ...
    @overload
    def job(self, function: Callable[P, R], /) -> Handler[P, R]: ...
    @overload
    def job(
        self,
        *,
        name: str | None = None,
        executor: Executor | None = None,
        **defaults: Unpack[HandlerValues],
    ) -> Decorator: ...
    def job(  # type: ignore[misc]  # pyright: ignore[reportInconsistentOverload]  # mypy treats the keys of HandlerValues as parameters
        self,
        function: Any = None,
        /,
        *,
        name: str | None = None,
        executor: Executor | None = None,
        **defaults: Unpack[HandlerValues],
    ) -> Any:
        """Register a function as a handler: `@app.job`, or `@app.job(queue="emails", …)`.

        A coroutine function runs on the worker's event loop, a plain function in a thread. If the first parameter is
        annotated with Context, or is named `ctx` without annotation, it receives the attempt's Context.

        Args:
            function: The function; given by `@app.job` without parentheses.
            name: Name of the handler in jobs. Default: the function's name.
            executor: `"async"` for a coroutine function, `"thread"` for a plain function. Default: the one that fits;
                the other one is refused.
            queue: Name of the queue: 1 to 63 letters and digits, with - _ . between them. Default: the App's `queue`.
            priority: `"high"`, `"normal"` (default) or `"low"`.
            tags: Labels for people and handlers: `ctx.tags` and `jobpools jobs show` return them.
            metadata: A JSON object that travels with each job: `ctx.metadata` and `jobpools jobs show` return it.
            timeout: Maximum duration of one attempt: seconds, text such as `"90s"` or `"1h30m"`, or a timedelta; more
                than 0. Default: the pool's `spec.job.timeout` (5 minutes).
            retry: When and how often a failed job is retried. Default: the pool's `spec.job.retry`.
            result_ttl: How long the completed job and its result are kept, in the same forms as `timeout`; 0 keeps
                neither. Default: the pool's `spec.job.resultTTL` (1 day).
            max_crashes: Number of crashes of its worker after which the job is dead; at least 1. Default: the pool's
                `spec.job.maxCrashes` (3).
            expires: Time after which no attempt starts, counted from when the server accepts the job, in the same forms
                as `timeout`. Such a job becomes a dead letter with the reason `expired`. Default: none.

        Returns:
            The handler, whose `enqueue` takes the function's arguments. Without a function, a decorator.

        Raises:
            ConfigurationError: The function cannot be a handler, its name is taken, or an option is invalid.

        Example:
            >>> @app.job(queue="emails", retry=Retry(max_attempts=5), timeout="2m")
            ... async def order_confirmation(ctx: Context, to: str, order: int) -> str: ...
        """
        if function is None:

            def register(decorated: Callable[..., Any]) -> Handler[..., Any]:
                return self._register(decorated, name, executor, defaults)

            return register
        return self._register(function, name, executor, defaults)

    def _register(
        self, function: Any, name: str | None, executor: str | None, defaults: HandlerValues
    ) -> Handler[..., Any]:
        check_function(function)
        name = checked("@app.job", {"name": name}, CHECKS).get("name") or getattr(function, "__name__", "")
        if not name:
            raise ConfigurationError(f"@app.job: {function!r} has no name; give it one, as in @app.job(name=…)")
        if name in self.handlers:
            raise ConfigurationError(f"job {name}: duplicate name; give one of the two functions another name=")
        options = Options.make(f"job {name}", **defaults)
        kind = executor_of(function, name, executor)
        handler: Handler[..., Any] = Handler(self, function, name=name, options=options, executor=kind)
        self.handlers[name] = handler
        return handler

    def service(self, function: Callable[[], AsyncIterator[T] | Iterator[T]]) -> Service[T]:
        """Declare a service: an object that each worker opens once and that handlers get with `ctx.service(…)`.

        Services are opened in the order of declaration before the first job, and closed in reverse order.

        Args:
            function: A generator function, async or plain, that yields the object once. Code after `yield` closes it.

        Returns:
            The declared service: the argument of `ctx.service(…)`.

        Raises:
            ConfigurationError: The function is not a generator function.

        Example:
            >>> @app.service
            ... async def database() -> AsyncIterator[Pool]:
            ...     async with create_pool() as pool:
            ...         yield pool
            >>> @app.job
            ... async def charge(ctx: Context, order: int) -> None:
            ...     await ctx.service(database).execute("…", order)
        """
        service = Service(function)
        self.services.append(service)
        return service

    def middleware(self, given: M, /) -> M:
        """Declare code that runs around every attempt or enqueued job; what is declared first is the outermost.

        Args:
            given: `async def around(ctx, call_next)`, which awaits `call_next()` once and returns its result; or a
                subclass of Middleware, or an object of one.

        Raises:
            ConfigurationError: The function or a method has other parameters.

        Example:
            >>> @app.middleware
            ... async def timed(ctx: Context, call_next: Next) -> Any:
            ...     with timer(ctx.name):
            ...         return await call_next()
        """
        middleware.register(given, self.middlewares, self._hooks)
        return given

    async def enqueue(
        self, name: str, args: Mapping[str, Any] | None = None, **options: Unpack[OptionValues]
    ) -> JobHandle[Any]:
        """Enqueue a job by the name of its handler, which may belong to another app or language.

        Args:
            name: Name of the handler. A handler of this app checks the arguments; for any other, give `queue`.
            args: The handler's arguments, by name. Default: none.
            queue: Name of the queue: 1 to 63 letters and digits, with - _ . between them. Default: the handler's.
            priority: `"high"`, `"normal"` (default) or `"low"`.
            tags: Labels for people and handlers: `ctx.tags` and `jobpools jobs show` return them.
            metadata: A JSON object that travels with the job: `ctx.metadata` and `jobpools jobs show` return it. Its
                keys are added to those of the handler, and replace equal ones.
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
            A handle of the job; its `new` is False if a job with the same `id` was known already.

        Raises:
            UnknownJobError: This app has no such handler, and `queue` was not given.
            ArgumentsError: The arguments do not match the handler's signature, or are not JSON.
            PayloadTooLargeError: The encoded job is larger than `max_payload`.
            ConfigurationError: An option is unknown or has an invalid value.
            QueueFullError: The queue was full for longer than `block_timeout`, or has too many scheduled jobs.
            StoreError: Redis refused the command or is unreachable. It is unknown whether the job was enqueued.

        Example:
            >>> await app.enqueue("resize", {"photo": 7}, queue="photos", priority="low")
        """
        return await self.client.enqueue(self._by_name(name, args or {}, options))

    def enqueue_sync(
        self, name: str, args: Mapping[str, Any] | None = None, **options: Unpack[OptionValues]
    ) -> JobHandle[Any]:
        """Enqueue a job by name from code without an event loop; arguments and errors are those of `enqueue`."""
        return self.client.enqueue_sync(self._by_name(name, args or {}, options))

    async def enqueue_many(self, calls: Iterable[Call[Any]]) -> list[JobHandle[Any]]:
        """Enqueue many jobs in few round trips.

        Up to 500 jobs of one queue are sent in one command. A full queue accepts those that fit; the others wait for
        room.

        Args:
            calls: Jobs made by `handler.call(…)` or `handler.options(…).call(…)`.

        Returns:
            The handles, in the order of the calls.

        Raises:
            ArgumentsError: An item is not a call.
            QueueFullError: A queue was full for longer than `block_timeout`, or has too many scheduled jobs. Some jobs
                may be enqueued.
            StoreError: Redis refused a command or is unreachable; earlier commands may have succeeded.

        Example:
            >>> await app.enqueue_many(order_confirmation.call(to=each.email, order=each.id) for each in orders)
        """
        return await self.client.enqueue_many(_calls("enqueue_many", calls))

    def enqueue_many_sync(self, calls: Iterable[Call[Any]]) -> list[JobHandle[Any]]:
        """Enqueue many jobs from code without an event loop; arguments and errors are those of `enqueue_many`."""
        return self.client.enqueue_many_sync(_calls("enqueue_many_sync", calls))

    def handle(self, id: JobId | str, queue: str | None = None) -> JobHandle[Any]:  # noqa: A002  # the job's own word
        """Return a handle of a job that was enqueued before, for example by another process.

        Args:
            id: The job's id.
            queue: The job's queue. Default: the App's `queue`.

        Example:
            >>> await app.handle("order-1042", queue="emails").result(timeout="10s")
        """
        return JobHandle(self.client, id=id, queue=queue or self.queue)

    async def aclose(self) -> None:
        """Close the connections of this event loop and of sync code. They are reopened when needed."""
        if self._client is not None:
            await self._client.aclose()

    def close(self) -> None:
        """Close the connections of sync code."""
        if self._client is not None:
            self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _by_name(self, name: str, args: Mapping[str, Any], options: OptionValues) -> Call[Any]:
        handler = self.handlers.get(name)
        if handler is not None:
            return handler.build(handler.with_options(f"enqueue {name}", options), (), dict(args))
        if "queue" not in options:
            hint = did_you_mean(name, self.handlers)
            raise UnknownJobError(f"app {self.name}: no job {name!r}; give queue= for a job of another app{hint}")
        return self.client.call_json(name, args, Options.make(f"enqueue {name}", **options))


def _calls(method: str, given: Iterable[Call[Any]]) -> list[Call[Any]]:
    """Return the calls to enqueue. Raises ArgumentsError for any other object; the error names `method`."""
    calls = list(given)
    if invalid := [each for each in calls if not isinstance(each, Call)]:
        raise ArgumentsError(f"{method}: {invalid[0]!r} is not a call; use handler.call(…)")
    return calls
