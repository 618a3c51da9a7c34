"""Middleware: code that runs around every attempt and every enqueued job, such as tracing or a database transaction."""

import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, cast

from jobpools.context import Context, failure_of
from jobpools.core.jobs.settlement_requests import Snooze
from jobpools.core.text.did_you_mean import did_you_mean
from jobpools.enqueue_hooks import EnqueueHooks, Hook, OutgoingJob
from jobpools.errors import ConfigurationError
from jobpools.handle import JobHandle
from jobpools.observability.app_errors import log_app_error

Next = Callable[[], Awaitable[Any]]
"""Runs the inner middlewares and the handler, and returns the result. A middleware awaits it once."""
Around = Callable[[Context, Next], Awaitable[Any]]
"""`async def around(ctx, call_next)`: awaits `call_next()` once and returns its result, or raises.

A middleware that returns without awaiting it fails the attempt, because the handler did not run. To prevent a job from
running, raise.
"""


log = logging.getLogger("jobpools.worker")


class Middleware:
    """Base class of a middleware with methods; define those that you need, each as a plain function or `async def`.

    Of several middlewares, the one declared first is the outermost: its `before_…` methods run first, its `after_…`
    methods and `on_failure` last. A plain method runs on the event loop and must not block.

    Example:
        >>> @app.middleware
        ... class Tracing(Middleware):
        ...     def before_enqueue(self, job: OutgoingJob) -> None:
        ...         job.metadata["trace"] = current_trace_id()
        ...
        ...     async def before_run(self, ctx: Context) -> None:
        ...         start_span(ctx.metadata.get("trace"))
    """

    def before_enqueue(self, job: OutgoingJob, /) -> Awaitable[None] | None:
        """Run before the job is sent; may change it.

        An exception reaches the caller of `enqueue` or `enqueue_many`, and no job is sent.
        """

    def after_enqueue(self, job: OutgoingJob, handle: JobHandle[Any], /) -> Awaitable[None] | None:
        """Run after Redis has accepted the job; `handle.new` is False if its id was known. An exception is logged."""

    def before_run(self, ctx: Context, /) -> Awaitable[None] | None:
        """Run before the handler. An exception fails the attempt, and the handler does not run."""

    def after_run(self, ctx: Context, result: Any, /) -> Awaitable[None] | None:
        """Run after the handler has returned this result. An exception fails the attempt."""

    def on_failure(self, ctx: Context, error: BaseException, /) -> Awaitable[None] | None:
        """Run after the handler, or a middleware inside this one, has failed.

        After a timeout, `error` is a TimeoutError. It does not run for a cancelled job, when the worker stops, or for
        Snooze. An exception is logged: the attempt ends with the error of the handler.
        """


HOOKS = {"before_enqueue": 1, "after_enqueue": 2, "before_run": 1, "after_run": 2, "on_failure": 2}
"""The methods of a Middleware, with their numbers of arguments."""


def register(given: Any, arounds: list[Around], hooks: EnqueueHooks) -> None:
    """Add a function, an object of Middleware or a subclass of it to an app's lists.

    Raises:
        ConfigurationError: The argument has another type, or a function or method has other parameters.
    """
    if inspect.isclass(given) and issubclass(given, Middleware):
        given = _instance(given)
    if not isinstance(given, Middleware):
        arounds.append(_checked_function(given))
        return
    found = _methods(given)
    if found.keys() & {"before_run", "after_run", "on_failure"}:
        arounds.append(_RunHooks(found))
    if "before_enqueue" in found:
        hooks.before.append(found["before_enqueue"])
    if "after_enqueue" in found:
        hooks.after.append(found["after_enqueue"])


def _instance(kind: type[Middleware]) -> Middleware:
    try:
        inspect.signature(kind).bind()
    except TypeError as error:
        raise ConfigurationError(
            f"middleware {kind.__name__}: {error}; pass an object, as in app.middleware({kind.__name__}(…))"
        ) from error
    return kind()


def _methods(given: Middleware) -> dict[str, Hook]:
    """Return the methods that the object's class defines, by name."""
    kind = type(given)
    for name in dir(kind):
        if name not in HOOKS and name.startswith(("before_", "after_", "on_")):
            raise ConfigurationError(f"middleware {kind.__name__}: {name}: no such method{did_you_mean(name, HOOKS)}")
    found = {name: getattr(given, name) for name in HOOKS if getattr(kind, name) is not getattr(Middleware, name)}
    if not found:
        raise ConfigurationError(f"middleware {kind.__name__}: no methods; define one of {', '.join(HOOKS)}")
    for name, method in found.items():
        try:
            inspect.signature(method).bind(*[None] * HOOKS[name])
        except TypeError as error:
            wanted = ", ".join(["self", *list(inspect.signature(getattr(Middleware, name)).parameters)[1:]])
            raise ConfigurationError(f"middleware {kind.__name__}.{name}: {error}; write {name}({wanted})") from error
    return found


class _RunHooks:
    """An `Around` that calls the methods of one Middleware."""

    def __init__(self, methods: dict[str, Hook]) -> None:
        self._before = methods.get("before_run")
        self._after = methods.get("after_run")
        self._on_failure = methods.get("on_failure")

    async def __call__(self, context: Context, call_next: Next) -> Any:
        if self._before is not None:
            await _finish(self._before(context))
        try:
            result = await call_next()
        except BaseException as error:
            if self._on_failure is not None:
                await self._report(self._on_failure, context, error)
            raise
        if self._after is not None:
            await _finish(self._after(context, result))
        return result

    @staticmethod
    async def _report(on_failure: Hook, context: Context, error: BaseException) -> None:
        failure = failure_of(context, error)
        if failure is None or issubclass(type(failure), Snooze):  # isinstance would run the error's own code
            return
        try:
            await _finish(on_failure(context, failure))
        except BaseException as raised:  # noqa: BLE001  # also its SystemExit: the attempt ends with the handler's error
            log_app_error(log, raised, "%s %s: %s raised", context.name, context.id, _qualified_name(on_failure))


async def _finish(value: Any) -> None:
    if inspect.isawaitable(value):
        await value


def _checked_function(function: Any) -> Around:
    """Return the function. Raises ConfigurationError if it cannot be called with (ctx, call_next)."""
    if not callable(function) or inspect.isclass(function):
        raise ConfigurationError(
            f"@app.middleware: {function!r} is not a function; write async def around(ctx, call_next), or a subclass "
            "of jobpools.Middleware"
        )
    try:
        inspect.signature(function).bind(None, None)
    except TypeError as error:
        raise ConfigurationError(
            f"middleware {_name(function)}: {error}; write async def {_name(function)}(ctx, call_next)"
        ) from error
    return cast("Around", function)


def run_inside(middlewares: Sequence[Around], context: Context, run_handler: Next) -> Awaitable[Any]:
    """Run the handler inside its middlewares, of which the first is the outermost, and return its result."""
    run = run_handler
    for middleware in reversed(middlewares):
        run = partial(_run_around, middleware, context, run)
    return run()


async def _run_around(middleware: Around, context: Context, run_inner: Next) -> Any:
    """Run one middleware. Raises ConfigurationError if it does not await `call_next`."""
    was_awaited = False

    async def call_next() -> Any:
        nonlocal was_awaited
        was_awaited = True
        return await run_inner()

    value = await middleware(context, call_next)
    if not was_awaited:
        name = _name(inspect.unwrap(middleware))
        raise ConfigurationError(
            f"middleware {name}: returned without awaiting call_next(), so the handler did "
            "not run; await call_next() once, or raise"
        )
    return value


def _name(function: Any) -> str:
    return getattr(function, "__name__", None) or type(function).__name__


def _qualified_name(method: Hook) -> str:
    """Return `Tracing.on_failure`; a partial function or another object that is called has only a class."""
    return getattr(method, "__qualname__", None) or _name(method)
