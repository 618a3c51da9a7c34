"""Notifications that a job has ended, for clients that wait for results without polling."""

from collections.abc import Sequence
from typing import Any

from jobpools.store import draws, keys
from jobpools.store.connection import Connection
from jobpools.store.translation import translated

REGISTER_BATCH = 500
"""Number of jobs in one call of wait.lua: about a millisecond of the server's time."""


def new_channel() -> str:
    """Return a new channel for one client."""
    return f"{keys.ENDED_CHANNEL}:{draws.fresh_id()}"


async def register(connection: Connection, queue: str, channel: str, ids: Sequence[str]) -> list[str]:
    """Request that the ends of jobs are published to a channel; return the ids of jobs that have ended or are unknown.

    An empty channel registers nothing. A registration lasts for at least half a minute.
    """
    ended: list[str] = []
    for start in range(0, len(ids), REGISTER_BATCH):
        page = ids[start : start + REGISTER_BATCH]
        reply = await connection.call("wait", queue, ["", channel, *page])
        ended += [job_id for job_id, is_open in zip(page, reply, strict=True) if not is_open]
    return ended


class Subscription:
    """A subscription to one channel of `new_channel`. Its connection must have no read timeout."""

    def __init__(self, connection: Connection, channel: str) -> None:
        self._url = connection.url
        self._channel = channel
        self._subscriber = connection.subscriber()
        self._messages: Any = None

    async def open(self) -> None:
        """Subscribe; from then on each message arrives. Raises StoreError, after which the subscription is closed."""
        self._messages = await self._subscriber.__aenter__()
        try:
            with translated(self._url):
                await self._messages.subscribe(self._channel)
                await self._messages.parse_response()
        except BaseException:
            await self.aclose()
            raise

    async def receive(self) -> tuple[str, list[str]]:
        """Wait for the next message and return its queue and the ids of jobs that have ended. Raises StoreError."""
        with translated(self._url):
            while True:
                kind, *_, message = await self._messages.parse_response()
                if kind == b"message":
                    queue, *ids = message.decode(errors="replace").split(" ")
                    return queue, ids

    async def aclose(self) -> None:
        """Unsubscribe."""
        await self._subscriber.__aexit__(None, None, None)
