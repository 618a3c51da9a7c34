"""Wake idle workers and the control loop when jobs arrive, without polling."""

from collections.abc import AsyncIterator, Sequence

from jobpools.store import keys
from jobpools.store.connection import Connection
from jobpools.store.translation import CLIENT_ERRORS, translate


async def wait(connection: Connection, queues: Sequence[str], timeout: float) -> str | None:  # noqa: ASYNC109  # the server applies it
    """Wait at most `timeout` seconds for a token of one of the queues; return its queue, or None.

    The read timeout of the connection must be longer, or None. In a Redis Cluster pass one queue only.
    """
    names = {keys.of_queue(queue, "wake"): queue for queue in queues}
    reply = await connection.execute_raw("BLPOP", *names, f"{timeout:.3f}")
    return None if reply is None else names[reply[0].decode()]


async def pass_on(connection: Connection, queue: str) -> None:
    """Return a token that this worker took and cannot use, because all its slots are busy."""
    await connection.execute("RPUSH", keys.of_queue(queue, "wake"), 1)


async def listen(connection: Connection) -> AsyncIterator[str]:
    """Yield the name of each queue that goes from no ready job to at least one, as it happens.

    The first item is an empty string: the subscription is open now, and the caller reads the state of the queues.
    Raises StoreError if the connection breaks.
    """
    try:
        async with connection.subscriber() as channel:
            await channel.subscribe(keys.WAKE_CHANNEL)
            async for message in channel.listen():
                yield message["data"].decode() if message["type"] == "message" else ""
    except CLIENT_ERRORS as error:
        raise translate(error, connection.url) from error
