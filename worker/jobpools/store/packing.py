"""The asyncio client's connections with a faster way to send: commands are encoded in C and written at once.

The client would encode in Python, at a microsecond an argument, and send through `asyncio.wait_for`, which costs a task
a command. Before Python 3.12 that call can also lose a cancellation, and the cancelled task would run for ever.
"""

import asyncio
from functools import cache
from typing import Any, cast

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import TimeoutError as RedisTimeoutError

from jobpools.store import abandoned
from jobpools.store.redis_internals import has_hung_up, writer_of

IDLE_LIMIT = 8
"""Maximum number of idle connections that DirectSender keeps: most workers have no more queues."""


@cache
def packed(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    """Return the subclass of a connection class that encodes in C and writes at once."""

    class Packed(kind):  # type: ignore[misc, valid-type]  # the class depends on the URL
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)  # pyright: ignore[reportUnknownMemberType]  # their stubs are partly typed
            abandoned.watch(self)

        def pack_command(self, *args: Any) -> list[bytes]:
            """Encode in C; leave command names of two words to the client, because hiredis does not split them."""
            if " " in args[0]:
                return list(super().pack_command(*args))
            try:
                return [hiredis.pack_command(args)]  # pyright: ignore[reportUnknownMemberType]  # their stubs are partly typed
            except TypeError:
                return list(super().pack_command(*args))

        async def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002  # the client's own signature
            """Write at once; leave rare cases (no connection yet, a health check) to the client."""
            if writer_of(self) is None or self.health_check_interval or not isinstance(command, list):
                await super().send_packed_command(command, check_health)
            else:
                encoded = cast("list[bytes]", command)
                await _send(self, encoded)

    Packed.__name__ = kind.__name__
    return Packed


async def _send(connection: Any, command: list[bytes]) -> None:
    writer = writer_of(connection)
    try:
        writer.writelines(command)
        if writer.transport.get_write_buffer_size():  # the socket did not take all of it at once
            async with asyncio.timeout(connection.socket_timeout):
                await writer.drain()
    except BaseException as error:
        # Half a command may be sent: nothing else can be sent on this connection.
        await connection.disconnect(nowait=True)
        if isinstance(error, TimeoutError):
            raise RedisTimeoutError("Timeout writing to socket") from None
        raise


class DirectSender:
    """Sender that bypasses the client's pool, retries and telemetry, which cost 20 µs of a round trip's 100.

    It keeps up to IDLE_LIMIT of the pool's connections for the next command; the pool closes them when it is closed.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._idle: list[Any] = []

    async def send(self, *command: Any) -> Any:
        """Send one command on a connection of its own, and return the reply as the server sent it."""
        connection = await self._take()
        try:
            await connection.send_packed_command(connection.pack_command(*command))
            return await connection.read_response()
        finally:
            # Even after an error the connection can be kept: the client has closed it, or has read the whole reply.
            if len(self._idle) < IDLE_LIMIT:
                self._idle.append(connection)
            else:
                await self._pool.release(connection)

    async def drop(self) -> None:
        """Close the idle connections, which lead to a server that is no longer the primary."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.disconnect(nowait=True)
            await self._pool.release(connection)

    async def _take(self) -> Any:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_connected and not has_hung_up(connection):
                return connection
            await self._pool.release(connection)
        return await self._pool.get_connection()  # connects it if it is not connected
