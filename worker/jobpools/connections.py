"""Connections of event loops: one for each loop. A connection is closed with its loop; a fork does not inherit it.

The loop owns its connection, as an attribute, and the connection does not refer to the loop: an unused loop is
collected together with its connection. `asyncio.run` and any code that calls `loop.shutdown_asyncgens()` close the
connection properly, because an asynchronous generator that closes it is registered with the loop.
"""

import asyncio
import contextlib
import threading
import weakref
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from jobpools.store import abandoned
from jobpools.store.connect import Connection, connect
from jobpools.waiting import Waiters

_ATTRIBUTE = "_jobpools_connections"
"""Attribute of an event loop: its connections, by the token of their `Connections`."""


class _Token:
    """Key of a `Connections` in the attribute of a loop. It does not keep the `Connections` alive."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The connection and the waiters of one event loop."""

    connection: Connection
    waiters: Waiters
    closing: AsyncGenerator[None, None]
    """Closes the connection when it is closed."""


_inherited: list[dict[_Token, Opened]] = []
"""The connections that a child process inherited from its parent's loops, kept so that they are never collected:
collecting their generators would wake the parent's loop, because both processes share the wake-up socket."""


class Connections:
    """The connections to one URL, by event loop."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._lock = threading.Lock()
        self._begin()
        abandoned.watch_forks(self)

    def _begin(self) -> None:
        self._token = _Token()
        self._loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()
        weakref.finalize(self, _release, self._token, self._loops).atexit = False

    def here(self) -> Opened:
        """Return the connection and waiters of the running event loop; the first call opens them."""
        loop = asyncio.get_running_loop()
        opened: dict[_Token, Opened] | None = getattr(loop, _ATTRIBUTE, None)
        found = None if opened is None else opened.get(self._token)
        return self._open(loop) if found is None else found

    def _open(self, loop: asyncio.AbstractEventLoop) -> Opened:
        abandoned.sweep()
        opened: dict[_Token, Opened] | None = getattr(loop, _ATTRIBUTE, None)
        if opened is None:
            opened = {}
            setattr(loop, _ATTRIBUTE, opened)
        connection = connect(self.url)
        waiters = Waiters(connection)
        closing = _close_at_the_end(opened, self._token, connection, waiters)
        _start(closing)
        found = opened[self._token] = Opened(connection, waiters, closing)
        with self._lock:
            self._loops.add(loop)
        return found

    async def aclose(self) -> None:
        """Close the running event loop's connection."""
        found = getattr(asyncio.get_running_loop(), _ATTRIBUTE, {}).get(self._token)
        if found is not None:
            await found.closing.aclose()

    def after_fork(self) -> None:
        """Drop the parent's connections in a forked child; their descriptors are closed already."""
        _inherited.extend(getattr(loop, _ATTRIBUTE, {}) for loop in list(self._loops))
        self._lock = threading.Lock()
        self._begin()


def _release(token: _Token, loops: "weakref.WeakSet[asyncio.AbstractEventLoop]") -> None:
    """Drop the connections of a `Connections` that was collected; a running loop closes its own soon."""
    for loop in list(loops):
        getattr(loop, _ATTRIBUTE, {}).pop(token, None)


async def _close_at_the_end(
    opened: dict[_Token, Opened], token: _Token, connection: Connection, waiters: Waiters
) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        opened.pop(token, None)
        await waiters.aclose()
        await connection.aclose()


def _start(generator: AsyncGenerator[None, None]) -> None:
    """Run a generator to its first yield: from then on the running loop knows it, and closes it at its end."""
    with contextlib.suppress(StopIteration):  # `send` raises it when the generator reaches its first yield
        generator.__anext__().send(None)
