"""One worker process: started, watched, told to stop."""

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable

from jobpools.local.commands import Command
from jobpools.local.lifeline import tied
from jobpools.settings import READY_FD

_CHUNK = 1 << 16
_LONGEST_LINE = 8192
KILL_MARGIN = 15.0
"""Seconds beyond its grace after which a worker that does not end is killed."""


class Process:
    """A worker of which nothing is known but its process."""

    def __init__(self, name: str, command: Command, told: Callable[[str, str], None]) -> None:
        """`told(name, line)` gets what the worker writes to stdout and stderr."""
        self.name = name
        self.command = command
        self.ready = False
        """Its app is imported, it begins to work."""
        self.stopping = False
        self._told = told
        self._last: deque[str] = deque(maxlen=20)
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Of the process, once it is started."""
        return self._process.pid if self._process else None

    async def run(self, became_ready: Callable[[], None]) -> int:
        """Start it and wait for its end; returns the exit code, negative for a signal. Raises OSError."""
        reading, writing = os.pipe()
        try:
            environ = self.command.environ(os.environ, self.name) | {READY_FD: str(writing)}
            self._process = await asyncio.create_subprocess_exec(
                *self.command.argv, env=environ, pass_fds=(writing,), stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
                # Of its own group: Ctrl-C on the terminal is for us alone, and we drain.
                start_new_session=True, preexec_fn=tied(signal.SIGTERM),
            )  # fmt: skip
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        if self.stopping:  # told while it was being started
            self.signal(signal.SIGTERM)
        loop = asyncio.get_running_loop()
        os.set_blocking(reading, False)
        loop.add_reader(reading, self._on_ready, reading, became_ready)
        try:
            await self._relay()
            return await self._process.wait()
        finally:
            loop.remove_reader(reading)
            os.close(reading)

    def stop(self) -> None:
        """The first call drains it, the second makes it hand its jobs back at once."""
        self.stopping = True
        self.signal(signal.SIGTERM)

    def signal(self, number: int) -> None:
        """Send it a signal, if it is there."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def last_words(self, code: int) -> str:
        """Why it ended, in one line: its own last one, or how it went."""
        how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        own = next((line for line in reversed(self._last) if line.startswith("jobpools: ")), "")
        return f"{own.removeprefix('jobpools: ')} ({how})" if own and code > 0 else how

    def _on_ready(self, reading: int, became_ready: Callable[[], None]) -> None:
        asyncio.get_running_loop().remove_reader(reading)
        if os.read(reading, 1):  # nothing: it ended before it was ready
            self.ready = True
            became_ready()

    async def _relay(self) -> None:
        """Pass its output on, line by line, until it closes it."""
        assert self._process is not None  # noqa: S101  # run() started it
        stream = self._process.stdout
        assert stream is not None  # noqa: S101  # a pipe was asked for
        rest = b""
        while chunk := await stream.read(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._line(line)
        if rest:
            self._line(rest)

    def _line(self, raw: bytes) -> None:
        line = raw.decode("utf-8", "replace").rstrip()
        if line:
            self._last.append(line)
            self._told(self.name, line)
