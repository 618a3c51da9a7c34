"""One connection for each event loop. It is closed with its loop, and a forked child does not use it.

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
from jobpools.store.connection import Connection, connect
from jobpools.waiting import Waiters

_ATTRIBUTE = "_jobpools_connections"
"""Attribute of an event loop that holds its connections, by the token of their `Connections`."""


class _Token:
    """Key of a `Connections` in the attribute of a loop. It does not keep the `Connections` alive."""


@dataclass(frozen=True, slots=True)
class LoopConnection:
    """The connection and the waiters of one event loop."""

    connection: Connection
    waiters: Waiters
    closing: AsyncGenerator[None, None]
    """The generator whose `aclose` closes the connection."""


_inherited: list[dict[_Token, LoopConnection]] = []
"""Connections that a child process inherited from its parent's loops. They must never be collected: to collect their
generators would wake the parent's loop, because both processes share its wake-up socket."""


class Connections:
    """The connections of event loops to one URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._lock = threading.Lock()
        self._reset()
        abandoned.watch_forks(self)

    def _reset(self) -> None:
        self._token = _Token()
        self._loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()
        weakref.finalize(self, _release, self._token, self._loops).atexit = False

    def of_running_loop(self) -> LoopConnection:
        """Return the connection and waiters of the running event loop; the first call opens them."""
        loop = asyncio.get_running_loop()
        opened: dict[_Token, LoopConnection] | None = getattr(loop, _ATTRIBUTE, None)
        connection = None if opened is None else opened.get(self._token)
        return self._open(loop) if connection is None else connection

    def _open(self, loop: asyncio.AbstractEventLoop) -> LoopConnection:
        abandoned.sweep()
        opened: dict[_Token, LoopConnection] | None = getattr(loop, _ATTRIBUTE, None)
        if opened is None:
            opened = {}
            setattr(loop, _ATTRIBUTE, opened)
        connection = connect(self.url)
        waiters = Waiters(connection)
        closing = _close_with_loop(opened, self._token, connection, waiters)
        _run_to_first_yield(closing)
        opened[self._token] = LoopConnection(connection, waiters, closing)
        with self._lock:
            self._loops.add(loop)
        return opened[self._token]

    async def aclose(self) -> None:
        """Close the running event loop's connection."""
        opened = getattr(asyncio.get_running_loop(), _ATTRIBUTE, {}).get(self._token)
        if opened is not None:
            await opened.closing.aclose()

    def after_fork(self) -> None:
        """Drop the parent's connections in a forked child; their descriptors are closed already."""
        _inherited.extend(getattr(loop, _ATTRIBUTE, {}) for loop in list(self._loops))
        self._lock = threading.Lock()
        self._reset()


def _release(token: _Token, loops: "weakref.WeakSet[asyncio.AbstractEventLoop]") -> None:
    """Drop the connections of a `Connections` that was collected; each running loop then closes its connection."""
    for loop in list(loops):
        getattr(loop, _ATTRIBUTE, {}).pop(token, None)


async def _close_with_loop(
    opened: dict[_Token, LoopConnection], token: _Token, connection: Connection, waiters: Waiters
) -> AsyncGenerator[None, None]:
    """Close the connection when the loop shuts down its asynchronous generators."""
    try:
        yield
    finally:
        opened.pop(token, None)
        await waiters.aclose()
        await connection.aclose()


def _run_to_first_yield(generator: AsyncGenerator[None, None]) -> None:
    """Run a generator to its first yield. This registers it with the running loop, which closes it at its end."""
    with contextlib.suppress(StopIteration):  # `send` raises it when the generator reaches its first yield
        generator.__anext__().send(None)
