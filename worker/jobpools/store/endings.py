"""`A job has ended`: how those who wait for results learn of it without asking again and again."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from jobpools.store import draws, keys
from jobpools.store.connect import FOREIGN, Connection, translate

REGISTERED_AT_ONCE = 500
"""Jobs of one call of wait.lua: about a millisecond of the server's time."""


def new_channel() -> str:
    """Return a channel of one's own."""
    return f"{keys.ENDED_CHANNEL}:{draws.fresh_id()}"


async def register(connection: Connection, queue: str, channel: str, ids: Sequence[str]) -> list[str]:
    """Have the ends of jobs published to a channel; return the ids of those that have ended, or are not known.

    An empty channel registers nothing. A registration lasts for half a minute at least.
    """
    ended: list[str] = []
    for start in range(0, len(ids), REGISTERED_AT_ONCE):
        page = ids[start : start + REGISTERED_AT_ONCE]
        reply = await connection.call("wait", queue, ["", channel, *page])
        ended += [job_id for job_id, is_open in zip(page, reply, strict=True) if not is_open]
    return ended


@contextlib.asynccontextmanager
async def subscription(connection: Connection, channel: str) -> AsyncIterator[Any]:
    """Subscribe to a channel of `new_channel`. The connection must be one that may wait for ever. Raises StoreError."""
    try:
        async with connection.subscriber() as made:
            await made.subscribe(channel)
            await made.parse_response()  # from here on each message arrives
            yield made
    except FOREIGN as error:
        raise translate(error, connection.url) from error


async def heard(subscription: Any, url: str) -> tuple[str, list[str]]:
    """Wait for the next message and return its queue and the ids of jobs that have ended. Raises StoreError."""
    try:
        while True:
            kind, *_, message = await subscription.parse_response()
            if kind == b"message":
                queue, *ids = message.decode(errors="replace").split(" ")
                return queue, ids
    except FOREIGN as error:
        raise translate(error, url) from error
