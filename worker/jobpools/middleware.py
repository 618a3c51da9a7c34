"""Code around every attempt: tracing, logging, a database transaction. An app without any pays nothing for it."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from jobpools.context import Context
from jobpools.errors import ConfigurationError

Next = Callable[[], Awaitable[Any]]
"""The rest of the attempt and, in the end, the handler: what a middleware awaits once."""
Middleware = Callable[[Context, Next], Awaitable[Any]]
"""`async def around(ctx, call_next)`: awaits `call_next()` once and returns its result, or raises.

One that returns without having awaited it fails the attempt: a job whose handler never ran has not completed. To keep
a job from running, raise.
"""


def check(function: Middleware) -> Middleware:
    """The function itself. Raises ConfigurationError when it cannot stand around an attempt."""
    if not callable(function):
        raise ConfigurationError(f"@app.middleware: {function!r} is no function")
    try:
        inspect.signature(function).bind(None, None)
    except TypeError as error:
        raise ConfigurationError(
            f"middleware {_name(function)}: {error}: write async def {_name(function)}(ctx, call_next)"
        ) from error
    return function


def wrapped(stack: Sequence[Middleware], context: Context, innermost: Next) -> Awaitable[Any]:
    """The attempt inside its middleware; the first declared is the outermost."""
    step = innermost
    for around in reversed(stack):
        step = partial(_layer, around, context, step)
    return step()


async def _layer(around: Middleware, context: Context, rest: Next) -> Any:
    """One middleware and what is inside it. Raises ConfigurationError when it left that out."""
    reached = False

    async def call_next() -> Any:
        nonlocal reached
        reached = True
        return await rest()

    value = await around(context, call_next)
    if not reached:
        raise ConfigurationError(
            f"middleware {_name(around)} returned without awaiting call_next(): the handler never ran"
        )
    return value


def _name(function: Middleware) -> str:
    return getattr(function, "__name__", None) or type(function).__name__
