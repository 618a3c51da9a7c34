"""Middleware: code that runs around every attempt, such as tracing, logging or a database transaction."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from jobpools.context import Context
from jobpools.errors import ConfigurationError

Next = Callable[[], Awaitable[Any]]
"""Runs the inner middlewares and the handler: a middleware awaits it once."""
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


def wrapped(stack: Sequence[Middleware], context: Context, innermost: Next) -> Awaitable[Any]:
    """Return the attempt inside its middlewares; the first one is the outermost."""
    step = innermost
    for around in reversed(stack):
        step = partial(_layer, around, context, step)
    return step()


async def _layer(around: Middleware, context: Context, rest: Next) -> Any:
    """Run one middleware around the rest. Raises ConfigurationError if it did not await the rest."""
    reached = False

    async def call_next() -> Any:
        nonlocal reached
        reached = True
        return await rest()

    value = await around(context, call_next)
    if not reached:
        raise ConfigurationError(
            f"middleware {_name(around)} returned without awaiting call_next(), so the handler did not run"
        )
    return value


def _name(function: Middleware) -> str:
    return getattr(function, "__name__", None) or type(function).__name__
