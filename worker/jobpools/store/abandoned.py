"""Abandoned connections: close their descriptors without sending anything.

There are two kinds: those whose event loop was closed, and those that a child process inherited over
a fork. To send anything on the latter (QUIT, a TLS goodbye), to shut them down, or to remove them from the inherited
event loop's epoll instance would break the parent's connection.
"""

import contextlib
import importlib
import os
import threading
from typing import Any
from weakref import WeakSet

from jobpools.store import redis_internals

_lock = threading.Lock()
_connections: WeakSet[Any] = WeakSet()
"""The asyncio client's connections, each with one socket at most."""
_owners: WeakSet[Any] = WeakSet()
"""Objects whose `after_fork()` is called in the child process."""


def watch(connection: Any) -> None:
    """Register a connection of the asyncio client, without keeping it alive."""
    with _lock:
        _connections.add(connection)


def watch_forks(owner: Any) -> None:
    """Call `owner.after_fork()` in each child process that is forked while the owner exists.

    A constructor calls this last: a fork in another thread must not find a half-constructed object.
    """
    with _lock:
        _owners.add(owner)


def sweep() -> None:
    """Close the descriptors of connections whose event loop is closed."""
    with _lock:
        known = list(_connections)
    for connection in known:
        loop = redis_internals.loop_of(connection)
        if loop is not None and loop.is_closed():
            redis_internals.detach(connection)


def abandon_sync(client: Any) -> None:
    """Close the descriptors of a blocking client in a child process; its locks may be held by threads that are gone."""
    for connection in redis_internals.blocking_connections(client):
        connection.disconnect()  # it compares the process id, and closes without a shutdown


def _in_child() -> None:
    global _lock  # noqa: PLW0603  # another thread may have held the lock
    _lock = threading.Lock()
    for connection in list(_connections):
        redis_internals.detach(connection)
    for owner in list(_owners):
        owner.after_fork()


os.register_at_fork(after_in_child=_in_child)

# The client imports these when it first connects. A fork of another thread at that moment leaves the child with an
# import lock that is never released: the child's first connection would wait forever.
for _module in ("email.message", "email.parser", "encodings.idna", "redis.observability.recorder"):
    with contextlib.suppress(ImportError):  # not in every version
        importlib.import_module(_module)
