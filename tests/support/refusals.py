"""Make a real server refuse writes for the duration of a `with` block, each function for another reason."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from redis import Redis
from redis.exceptions import ResponseError

from tests.support.ports import free_port
from tests.support.servers import Server
from tests.support.waiting import eventually

Refuse = Callable[[Server], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def configured(server: Server, name: str, value: str, back: str) -> Iterator[None]:
    with server.client() as client:
        client.config_set(name, value)
        yield
        client.config_set(name, back)


@contextlib.contextmanager
def replica(server: Server) -> Iterator[None]:
    with server.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", free_port())
        yield
        client.execute_command("REPLICAOF", "NO", "ONE")


@contextlib.contextmanager
def full(server: Server) -> Iterator[None]:
    with configured(server, "maxmemory", "1", "0"):
        yield


@contextlib.contextmanager
def few_replicas(server: Server) -> Iterator[None]:
    with configured(server, "min-replicas-to-write", "1", "0"):
        yield


@contextlib.contextmanager
def disk_full(server: Server) -> Iterator[None]:
    """Let a snapshot fail: its folder does not exist."""
    with server.client() as client:
        folder = client.config_get("dir")["dir"]
        client.config_set("save", "3600 1")
        nowhere = Path(folder) / "gone"
        nowhere.mkdir()
        client.config_set("dir", str(nowhere))
        nowhere.rmdir()
        client.execute_command("HSET", "jobpools:{x}:jobs", "a", "b")
        with contextlib.suppress(ResponseError):
            client.execute_command("BGSAVE")
        eventually("the snapshot failed", lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
        yield
        client.config_set("save", "")
        client.config_set("dir", str(folder))


@contextlib.contextmanager
def busy(server: Server) -> Iterator[None]:
    def spin() -> None:
        with server.client() as client, contextlib.suppress(ResponseError):
            client.eval("while true do end", 0)

    with server.client() as client:
        client.config_set("lua-time-limit", "10")
        thread = threading.Thread(target=spin)
        thread.start()
        eventually("the server is busy", lambda: _refuses(client, "BUSY"))
        yield
        client.script_kill()
        thread.join()


def _refuses(client: Redis, code: str) -> bool:
    try:
        client.get("x")
    except ResponseError as error:
        return str(error).startswith(code)
    return False


@contextlib.contextmanager
def no_right(server: Server) -> Iterator[None]:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-@write")
        yield
        client.execute_command("ACL", "SETUSER", "default", "+@all")
