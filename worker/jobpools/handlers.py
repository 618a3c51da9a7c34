"""A handler: the function that runs a job, and what `@app.job` registered about it."""

from collections.abc import Callable
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, Unpack

from jobpools.client import Call, Client
from jobpools.core.jobs.job import Priority
from jobpools.handle import JobHandle
from jobpools.options import Options, OptionValues
from jobpools.signature import Signature, takes_context

P = ParamSpec("P")
R = TypeVar("R")


class Owner(Protocol):
    """What a handler needs of the App that registered it."""

    queue: str
    """The queue of handlers that name none."""

    @property
    def client(self) -> Client:
        """Return the client that sends the handler's jobs."""


class Bound(Generic[P, R]):
    """A handler with options for the jobs that are sent through it; `options()` returns it."""

    __slots__ = ("_handler", "_options")

    def __init__(self, handler: "Handler[P, R]", options: Options) -> None:
        self._handler = handler
        self._options = options

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """The job, not sent yet: for `app.enqueue_many`. Raises ArgumentsError."""
        return self._handler.build(self._options, args, kwargs)

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Send the job. Raises EnqueueError (nothing was written) or StoreError."""
        return await self._handler.app.client.enqueue(self._handler.build(self._options, args, kwargs))

    def enqueue_sync(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """`enqueue` for code without an event loop."""
        return self._handler.app.client.enqueue_sync(self._handler.build(self._options, args, kwargs))


class Handler(Generic[P, R]):
    """A function that `@app.job` made a job of. `enqueue` takes the function's own arguments, without `ctx`."""

    def __init__(self, app: Owner, function: Callable[..., Any], *, name: str, options: Options, executor: str) -> None:
        self.app = app
        self.function = function
        """What was decorated."""
        self.name = name
        self.queue = options.queue or app.queue
        self.defaults = options
        """What `@app.job` said; None where the pool's defaults hold."""
        self.executor = executor
        self.takes_context = takes_context(function)
        self.signature = Signature(function, name)
        self._decode_result = self.signature.decode_result  # bound once: every handle keeps one
        # max_crashes goes with the job: whoever takes it over after a crash may not have this code.
        self._plain = Options(
            queue=self.queue, priority=options.priority, tags=options.tags, max_crashes=options.max_crashes
        )
        self.__doc__ = function.__doc__
        self.__name__ = getattr(function, "__name__", name)
        self.__wrapped__ = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself, here and now, as a unit test does."""
        return self.function(*args, **kwargs)

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """The job, not sent yet: for `app.enqueue_many`. Raises ArgumentsError."""
        return self.build(self._plain, args, kwargs)

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Send the job. Raises EnqueueError (nothing was written) or StoreError."""
        return await self.app.client.enqueue(self.build(self._plain, args, kwargs))

    def enqueue_sync(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """`enqueue` for code without an event loop."""
        return self.app.client.enqueue_sync(self.build(self._plain, args, kwargs))

    def options(self, **options: Unpack[OptionValues]) -> Bound[P, R]:
        """The handler with options for the jobs sent through what is returned; `OptionValues` says what there is.

        Raises ConfigurationError for a name or a value that is none.
        """
        return Bound(self, self.with_options(f"{self.name}.options", options))

    def with_options(self, call: str, options: OptionValues) -> Options:
        """The options over the handler's own queue, priority and tags; `call` is who was given them, for errors."""
        own: OptionValues = {
            "queue": self.queue,
            "priority": Priority(self.defaults.priority),
            "tags": self.defaults.tags,
        }
        if self.defaults.max_crashes is not None:
            own["max_crashes"] = self.defaults.max_crashes
        return Options.make(call, **(own | options))

    def build(self, options: Options, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call[R]:
        """Check the arguments and make the job."""
        return self.app.client.call(self.name, self.signature.encode(args, kwargs), options, self._decode_result)

    def __repr__(self) -> str:
        return f"<Handler {self.name} queue={self.queue}>"
