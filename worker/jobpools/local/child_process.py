"""A child process whose output is read line by line and that reports when it is ready."""

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable

from jobpools.local.parent_death import signal_on_parent_death
from jobpools.local.worker_command import Command
from jobpools.settings import READY_FD

_CHUNK = 1 << 16
"""Maximum bytes of one read from the output pipe."""
_LINE_LIMIT = 8192
"""Bytes after which an unfinished line is passed on as it is."""
_REMEMBERED_LINES = 20
"""Maximum number of last lines in which the reason of a failure is looked for."""


class ChildProcess:
    """One child process, from its start to its end."""

    def __init__(self, name: str, command: Command, on_output: Callable[[str, str], None]) -> None:
        """Prepare a process; `on_output(name, line)` is called for each line that it writes to stdout or stderr."""
        self.name = name
        self.command = command
        self.is_ready = False
        """The process reported that it is ready: a worker has imported its app."""
        self.is_stopping = False
        """The process was told to end."""
        self._on_output = on_output
        self._last_lines: deque[str] = deque(maxlen=_REMEMBERED_LINES)
        self._unfinished = b""
        """The start of a line whose end has not been read yet."""
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Process id; None before the start."""
        return self._process.pid if self._process else None

    async def run(self, on_ready: Callable[[], None]) -> int:
        """Start the process and wait for its end.

        Returns:
            The exit code; the negative signal number if a signal ended the process.

        Raises:
            OSError: The program cannot be started.
        """
        loop = asyncio.get_running_loop()
        (ready, ready_end), (output, output_end) = os.pipe(), os.pipe()
        try:
            try:
                self._process = await self._spawn(ready_end, output_end)
            finally:
                os.close(ready_end)
                os.close(output_end)
            if self.is_stopping:  # stop() was called during the start
                self.signal(signal.SIGTERM)
            os.set_blocking(output, False)
            loop.add_reader(ready, self._read_ready, ready, on_ready)
            loop.add_reader(output, self._read_output, output)
            code = await self._process.wait()
            # The last lines may still be in the pipe. Do not wait for the end of the pipe: a grandchild may hold it.
            while self._read_output(output) == _CHUNK:
                pass
            self._emit(self._unfinished)
            return code
        finally:
            for descriptor in (ready, output):
                loop.remove_reader(descriptor)
                os.close(descriptor)

    async def _spawn(self, ready_end: int, output_end: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self.command.argv,
            env=self.command.environ(os.environ, self.name) | {READY_FD: str(ready_end)},
            pass_fds=(ready_end,),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output_end,
            stderr=output_end,
            # A session of its own: Ctrl-C in the terminal reaches only `jobpools up`, which then drains the workers.
            start_new_session=True,
            preexec_fn=signal_on_parent_death(signal.SIGTERM),
        )

    def stop(self) -> None:
        """Send SIGTERM. The first one drains a worker; the second one makes it hand back its jobs at once."""
        self.is_stopping = True
        self.signal(signal.SIGTERM)

    def signal(self, number: int, *, group: bool = False) -> None:
        """Send a signal if the process is running. With `group` the processes that it started receive it as well."""
        if self._process is not None and self._process.returncode is None:
            # Not asyncio's send_signal: it reaps a process that has just ended, and the exit code is lost.
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if group else os.kill)(self._process.pid, number)

    def exit_reason(self, code: int) -> str:
        """Return in one line why the process ended: its last `jobpools:` line, and the exit code or signal."""
        how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        error = next((line for line in reversed(self._last_lines) if line.startswith("jobpools: ")), "")
        return f"{error.removeprefix('jobpools: ')} ({how})" if error and code > 0 else how

    def _read_ready(self, descriptor: int, on_ready: Callable[[], None]) -> None:
        asyncio.get_running_loop().remove_reader(descriptor)
        if os.read(descriptor, 1):  # empty: the process ended before it was ready
            self.is_ready = True
            on_ready()

    def _read_output(self, descriptor: int) -> int:
        """Pass on the complete lines of one read; return the number of bytes read."""
        try:
            chunk = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return 0
        if not chunk:
            asyncio.get_running_loop().remove_reader(descriptor)
        *lines, self._unfinished = (self._unfinished + chunk).split(b"\n")
        if len(self._unfinished) > _LINE_LIMIT:
            lines, self._unfinished = [*lines, self._unfinished], b""
        for line in lines:
            self._emit(line)
        return len(chunk)

    def _emit(self, raw: bytes) -> None:
        line = raw.decode("utf-8", "replace").rstrip()
        if line:
            self._last_lines.append(line)
            self._on_output(self.name, line)
