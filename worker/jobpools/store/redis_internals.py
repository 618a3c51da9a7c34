"""Private attributes of redis-py and asyncio that the store reads. No other module of jobpools touches one.

Tested with redis-py 8.1. Where another version has no such attribute, each function here returns None (or nothing), and
the caller takes the client's own, slower way; tests/store/test_redis_internals.py fails.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any


def writer_of(connection: Any) -> Any:
    """Return the stream that an asyncio connection writes to; None: it is not connected, or has no such attribute."""
    return getattr(connection, "_writer", None)


def has_hung_up(connection: Any) -> bool:
    """Return whether the server has closed an asyncio connection; False where that cannot be seen."""
    reader = getattr(connection, "_reader", None)
    return reader is not None and bool(reader.at_eof())


def loop_of(connection: Any) -> asyncio.AbstractEventLoop | None:
    """Return the event loop that an asyncio connection was opened in; None where that cannot be seen."""
    return getattr(writer_of(connection), "_loop", None)


def detach(connection: Any) -> None:
    """Close the descriptor of an asyncio connection without sending anything and without its event loop."""
    writer = writer_of(connection)
    if writer is None:
        return
    connection._writer = connection._reader = None  # noqa: SLF001  # so that the client connects again
    # Below TLS is the transport that has the socket. This is the call with which a loop finishes a lost connection:
    # it notifies the streams and closes the socket. Other loops have no such method and close their own handles.
    transport = getattr(getattr(writer.transport, "_ssl_protocol", None), "_transport", writer.transport)
    finish: Callable[[None], None] | None = getattr(transport, "_call_connection_lost", None)
    if finish is not None:
        transport._closing = True  # noqa: SLF001  # otherwise the streams report it as unclosed
        with contextlib.suppress(RuntimeError):  # the loop is closed: callbacks of the streams cannot be scheduled
            finish(None)


def blocking_connections(client: Any) -> Iterator[Any]:
    """Yield each connection of a blocking client, in a cluster of every node, without taking its locks."""
    nodes = getattr(getattr(client, "nodes_manager", None), "nodes_cache", {}).values()
    for each in (client, *[node.redis_connection for node in nodes]):
        pool = getattr(each, "connection_pool", None)
        for name in ("_available_connections", "_in_use_connections"):
            yield from getattr(pool, name, ())
