"""Wait for a condition, or fail with the name of what was awaited.

A machine under load is slow, not wrong, so the deadline is long. A test that promises a time, or that a wake-up arrives
before the next poll, sets `within`.
"""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
DEADLINE = 60.0
"""Maximum seconds to wait for a condition, unless the test sets another limit."""


def eventually(
    what: str,
    probe: Callable[[], T | None],
    within: float = DEADLINE,
    detail: Callable[[], object] = lambda: "nothing else is known",
) -> T:
    """Return what `probe` returns as soon as it is true. Raises AssertionError, which ends in `detail()`."""
    begun = time.monotonic()
    while True:
        before = time.monotonic()
        found = probe()
        if found:
            return found
        now = time.monotonic()
        assert now < begun + within, f"not within {within:g} s: {what} (last: {found!r}; {detail()})"
        time.sleep(max(0.01, now - before))  # leave half of the time to what is probed


async def until(condition: Callable[[], bool], within: float = DEADLINE) -> None:
    """Wait for a condition that this event loop brings about. Raises TimeoutError."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110  # the condition has no event
            await asyncio.sleep(0.002)
