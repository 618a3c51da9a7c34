"""Commands that are encoded and sent past the client: cancelled at any point, and of any size."""

import asyncio

import pytest

from jobpools.store.connection import connect


@pytest.mark.parametrize("ticks", range(12))
async def test_a_command_can_be_cancelled_at_any_point(valkey_url: str, ticks: int) -> None:
    connection = connect(valkey_url)
    await connection.execute("PING")  # connected: the command itself is what is cancelled

    async def ask_for_ever() -> None:
        while True:
            await connection.execute("BLPOP", "nothing", "0.001")

    task = asyncio.create_task(ask_for_ever())
    for _ in range(ticks):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=2)
    assert done
    assert task.cancelled()
    await connection.aclose()


async def test_a_command_larger_than_the_sockets_buffer_is_sent_whole(valkey_url: str) -> None:
    connection = connect(valkey_url)
    await connection.execute("SET", "key", b"x" * 20_000_000)
    assert await connection.execute("STRLEN", "key") == 20_000_000
    await connection.aclose()
