"""Middleware: code that runs around every attempt, such as tracing, logging or a database transaction."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from jobpools.context import Context
from jobpools.errors import ConfigurationError

Next = Callable[[], Awaitable[Any]]
"""Runs the inner middlewares and the handler, and returns the result. A middleware awaits it once."""
Middleware = Callable[[Context, Next], Awaitable[Any]]
"""`async def around(ctx, call_next)`: awaits `call_next()` once and returns its result, or raises.

A middleware that returns without awaiting it fails the attempt, because the handler did not run. To prevent a job from
running, raise.
"""


def check(function: Middleware) -> Middleware:
    """Return the function. Raises ConfigurationError if it cannot be called with (ctx, call_next)."""
    if not callable(function):
        raise ConfigurationError(
            f"@app.middleware: {function!r} is not a function; write async def around(ctx, call_next)"
        )
    try:
        inspect.signature(function).bind(None, None)
    except TypeError as error:
        raise ConfigurationError(
            f"middleware {_name(function)}: {error}; write async def {_name(function)}(ctx, call_next)"
        ) from error
    return function


def run_inside(middlewares: Sequence[Middleware], context: Context, run_handler: Next) -> Awaitable[Any]:
    """Run the handler inside its middlewares, of which the first is the outermost, and return its result."""
    run = run_handler
    for middleware in reversed(middlewares):
        run = partial(_run_around, middleware, context, run)
    return run()


async def _run_around(middleware: Middleware, context: Context, run_inner: Next) -> Any:
    """Run one middleware. Raises ConfigurationError if it does not await `call_next`."""
    was_awaited = False

    async def call_next() -> Any:
        nonlocal was_awaited
        was_awaited = True
        return await run_inner()

    value = await middleware(context, call_next)
    if not was_awaited:
        raise ConfigurationError(
            f"middleware {_name(middleware)}: returned without awaiting call_next(), so the handler did not run; "
            "await call_next() once, or raise"
        )
    return value


def _name(function: Middleware) -> str:
    return getattr(function, "__name__", None) or type(function).__name__
