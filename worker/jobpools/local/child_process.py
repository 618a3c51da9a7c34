"""One worker process: started, watched, told to stop."""

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable

from jobpools.local.parent_death import tied
from jobpools.local.worker_command import Command
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
        self._rest = b""
        """The beginning of a line that is not ended yet."""
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Of the process, once it is started."""
        return self._process.pid if self._process else None

    async def run(self, became_ready: Callable[[], None]) -> int:
        """Start it and wait for its end; returns the exit code, negative for a signal. Raises OSError."""
        loop = asyncio.get_running_loop()
        (ready, ready_end), (output, output_end) = os.pipe(), os.pipe()
        try:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self.command.argv, env=self.command.environ(os.environ, self.name) | {READY_FD: str(ready_end)},
                    pass_fds=(ready_end,), stdin=asyncio.subprocess.DEVNULL, stdout=output_end, stderr=output_end,
                    # Of its own group: Ctrl-C on the terminal is for us alone, and we drain.
                    start_new_session=True, preexec_fn=tied(signal.SIGTERM),
                )  # fmt: skip
            finally:
                os.close(ready_end)
                os.close(output_end)
            if self.stopping:  # told while it was being started
                self.signal(signal.SIGTERM)
            os.set_blocking(output, False)
            loop.add_reader(ready, self._on_ready, ready, became_ready)
            loop.add_reader(output, self._read, output)
            code = await self._process.wait()
            # Its last words may still be in the pipe. The pipe's end is no sign: children of its own may hold it open.
            while self._read(output) == _CHUNK:
                pass
            self._line(self._rest)
            return code
        finally:
            for each in (ready, output):
                loop.remove_reader(each)
                os.close(each)

    def stop(self) -> None:
        """The first call drains it, the second makes it hand its jobs back at once."""
        self.stopping = True
        self.signal(signal.SIGTERM)

    def signal(self, number: int, *, group: bool = False) -> None:
        """Send it a signal, if it is there; `group`: to the children that it started as well."""
        if self._process is not None and self._process.returncode is None:
            # Not its own send_signal: that reaps a process that has just ended, and its exit code with it.
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if group else os.kill)(self._process.pid, number)

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

    def _read(self, output: int) -> int:
        """Pass on, line by line, what it wrote; returns how many bytes that was."""
        try:
            chunk = os.read(output, _CHUNK)
        except BlockingIOError:
            return 0
        if not chunk:
            asyncio.get_running_loop().remove_reader(output)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._line(line)
        return len(chunk)

    def _line(self, raw: bytes) -> None:
        line = raw.decode("utf-8", "replace").rstrip()
        if line:
            self._last.append(line)
            self._told(self.name, line)
