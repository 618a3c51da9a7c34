"""Waiting for what others do: until it is so, or fail and say for what.

A machine under load is slow, not wrong: the patience is long. A test that claims a time, or that somebody is woken
who would look without that in the end, says so with `within`.
"""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 60.0
"""Seconds after which nothing is expected to come any more."""


def eventually(
    what: str,
    look: Callable[[], T | None],
    within: float = PATIENCE,
    told: Callable[[], object] = lambda: "nothing else is known",
) -> T:
    """What `look` returns as soon as that is true; an AssertionError that ends in what `told` says if it never is."""
    begun = time.monotonic()
    while True:
        before = time.monotonic()
        found = look()
        if found:
            return found
        now = time.monotonic()
        assert now < begun + within, f"not within {within:g} s: {what} (last: {found!r}; {told()})"
        time.sleep(max(0.01, now - before))  # whatever a look costs, half the time is left to what it looks at


async def until(condition: Callable[[], bool], within: float = PATIENCE) -> None:
    """The same for what this event loop does; a TimeoutError if it never is."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110  # whatever the condition is about has no event
            await asyncio.sleep(0.002)
