"""`App` and `@app.job`: which handlers there are, and how their jobs are sent."""

import inspect
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from types import TracebackType
from typing import (
    Any,
    Concatenate,
    Literal,
    ParamSpec,
    Protocol,
    Self,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

from jobpools import middleware
from jobpools.client import Call, Client
from jobpools.context import Context
from jobpools.core.text.did_you_mean import did_you_mean
from jobpools.core.text.names import JobId
from jobpools.errors import ArgumentsError, ConfigurationError, UnknownJobError
from jobpools.handle import JobHandle
from jobpools.handlers import Handler
from jobpools.middleware import Middleware
from jobpools.options import HandlerValues, Options, OptionValues, at_least_one, check_queue, checked
from jobpools.service import Service
from jobpools.settings import max_payload, redis_url
from jobpools.signature import code_of

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Executor = Literal["async", "thread"]


class AppValues(TypedDict, total=False):
    """What `App(name, …)` may say."""

    redis: str | None
    """The URL of Redis or Valkey; default JOBPOOLS_REDIS_URL, else this machine's default port."""
    queue: str
    """The queue of handlers that name none: `default`."""
    max_payload: int | None
    """Bytes of the largest encoded job; default JOBPOOLS_MAX_PAYLOAD, else 1 MiB."""


def _text(given: str) -> str:
    if not isinstance(given, str) or not given.strip():
        raise ValueError(f"{given!r} is no text")
    return given


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "name": _text,
    "redis": _text,
    "queue": check_queue,
    "max_payload": at_least_one,
}
"""What each argument of App must be."""


class Decorator(Protocol):
    """What `@app.job(…)` returns: it turns a function into a Handler of the same arguments and result."""

    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], /) -> Handler[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], R], /) -> Handler[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Handler[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Handler[P, R]: ...


class App:
    """Handlers and the Redis that their jobs go to: `App("shop", redis="redis://…", queue="default")`.

    `AppValues` says what may be given. Raises ConfigurationError for a name or a value that is none.
    """

    def __init__(self, name: str, **given: Unpack[AppValues]) -> None:
        values = checked("App", {"name": name, **given}, _CHECKS)
        self.name = name
        self.queue: str = values.get("queue", "default")
        self.handlers: dict[str, Handler[..., Any]] = {}
        """By job name."""
        self.services: list[Service[Any]] = []
        self.middlewares: list[Middleware] = []
        self.redis: str | None = values.get("redis")
        """The URL given here; None: the environment says."""
        self._max_payload: int | None = values.get("max_payload")
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        """What sends jobs; it connects when it first has to."""
        if self._client is None:
            self._client = Client(redis_url(os.environ, self.redis), max_payload(os.environ, self._max_payload))
        return self._client

    def use(self, client: Client) -> Client | None:
        """Send jobs through this client from now on; returns the one before."""
        before, self._client = self._client, client
        return before

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
    def job(  # type: ignore[misc]  # mypy takes the keys of HandlerValues for parameters of their own
        self,
        function: Any = None,
        /,
        *,
        name: str | None = None,
        executor: Executor | None = None,
        **defaults: Unpack[HandlerValues],
    ) -> Any:
        """Make a job of a function: `@app.job` or `@app.job(queue="emails", retry=Retry(max_attempts=5), …)`.

        `timeout` and `result_ttl` are durations (`"2m"` or seconds). What is not said is the pool's default
        (`spec.job`). A coroutine function runs on the worker's event loop, a plain one in a thread.
        Raises ConfigurationError.
        """
        if function is None:
            return lambda decorated: self._register(decorated, name, executor, defaults)
        return self._register(function, name, executor, defaults)

    def _register(
        self, function: Any, name: str | None, executor: str | None, defaults: HandlerValues
    ) -> Handler[..., Any]:
        if isinstance(function, Handler):
            raise ConfigurationError(f"{function.name} is a job already: one @app.job for each function")
        if not callable(function) or inspect.isclass(function):
            raise ConfigurationError(f"@app.job: {function!r} is no function: write @app.job or @app.job(name=…)")
        if "self" in inspect.signature(function).parameters:
            raise ConfigurationError(f"@app.job: {function!r} takes self: decorate a function or a bound method")
        name = checked("@app.job", {"name": name}, _CHECKS).get("name") or getattr(function, "__name__", "")
        if not name:
            raise ConfigurationError(f"job {function!r} has no name of its own: give it one, as in @app.job(name=…)")
        if name in self.handlers:
            raise ConfigurationError(f"two jobs are called {name!r}: give one of them another name=")
        code = code_of(function)
        if inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code):
            raise ConfigurationError(f"job {name}: it yields; a job returns its result, or sends further jobs")
        natural = "async" if inspect.iscoroutinefunction(code) else "thread"
        if executor not in (None, natural):
            kind = (
                "a coroutine function needs the event loop" if natural == "async" else "a plain function needs a thread"
            )
            raise ConfigurationError(f"job {name}: executor={executor!r} does not fit: {kind}")
        options = Options.make(f"job {name}", **defaults)
        handler: Handler[..., Any] = Handler(self, function, name=name, options=options, executor=natural)
        self.handlers[name] = handler
        return handler

    def service(self, function: Callable[[], AsyncIterator[T] | Iterator[T]]) -> Service[T]:
        """Declare something that the worker opens once and that handlers get by `ctx.service(…)`."""
        service = Service(function)
        self.services.append(service)
        return service

    def middleware(self, function: Middleware) -> Middleware:
        """Declare code around every attempt: `async def around(ctx, call_next)`; the first declared is outermost.

        It awaits `call_next()` once and returns what that returned. Raises ConfigurationError for a function that
        does not take these two.
        """
        self.middlewares.append(middleware.check(function))
        return function

    async def enqueue(
        self, name: str, args: Mapping[str, Any] | None = None, **options: Unpack[OptionValues]
    ) -> JobHandle[Any]:
        """Send a job by its name. One of this app is checked against its handler; another needs `queue`.

        Raises UnknownJobError, ArgumentsError, PayloadTooLargeError, StoreError.
        """
        return await self.client.enqueue(self._by_name(name, args or {}, options))

    def enqueue_sync(
        self, name: str, args: Mapping[str, Any] | None = None, **options: Unpack[OptionValues]
    ) -> JobHandle[Any]:
        """`enqueue` for code without an event loop."""
        return self.client.enqueue_sync(self._by_name(name, args or {}, options))

    async def enqueue_many(self, calls: Iterable[Call[Any]]) -> list[JobHandle[Any]]:
        """Send many jobs (`handler.call(…)`) in few round trips: 500 of a queue are accepted together, or none of them.

        Raises ArgumentsError for what is no such call, and StoreError.
        """
        return await self.client.enqueue_many(_calls("enqueue_many", calls))

    def enqueue_many_sync(self, calls: Iterable[Call[Any]]) -> list[JobHandle[Any]]:
        """`enqueue_many` for code without an event loop."""
        return self.client.enqueue_many_sync(_calls("enqueue_many_sync", calls))

    def handle(self, id: JobId | str, queue: str | None = None) -> JobHandle[Any]:  # noqa: A002  # the job's own word
        """A handle of a job that was sent before, perhaps by another process."""
        return JobHandle(self.client, id=id, queue=queue or self.queue)

    async def aclose(self) -> None:
        """Close the connections of this event loop and of sync code. They are opened again when needed."""
        if self._client is not None:
            await self._client.aclose()

    def close(self) -> None:
        """`aclose` for code without an event loop: close the connections of sync code."""
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
            raise UnknownJobError(f"app {self.name} has no job {name!r}{hint} (another app's job needs its queue)")
        return self.client.call_json(name, args, Options.make(f"enqueue {name}", **options))


def _calls(call: str, given: Iterable[Call[Any]]) -> list[Call[Any]]:
    """Return the calls to send. Raises ArgumentsError for any other object; `call` names the method in the error."""
    calls = list(given)
    if strange := [each for each in calls if not isinstance(each, Call)]:
        raise ArgumentsError(f"{call}: {strange[0]!r} is not a call; use handler.call(…)")
    return calls
