"""Code around every attempt: tracing, logging, a database transaction. An app without any pays nothing for it."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from jobpools.runtime.context import Context

Next = Callable[[], Awaitable[Any]]
"""The rest of the attempt: what a middleware awaits once."""
Middleware = Callable[[Context, Next], Awaitable[Any]]
"""`async def around(ctx, call_next)`: awaits `call_next()` once and returns its result, or raises."""


def wrapped(stack: Sequence[Middleware], context: Context, innermost: Next) -> Awaitable[Any]:
    """The attempt inside its middleware; the first declared is the outermost."""
    step = innermost
    for around in reversed(stack):
        step = partial(around, context, step)
    return step()
