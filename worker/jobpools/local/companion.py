"""The companion command of `jobpools up --with`: a program that runs in addition to the pools."""

import asyncio
import os
import shlex
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

from jobpools.errors import ConfigurationError
from jobpools.local.child_process import ChildProcess
from jobpools.local.worker_command import Command

STOP_TIMEOUT = 10.0
"""Seconds that the command gets to end after SIGTERM, before it is killed."""


def parse_command_line(text: str) -> tuple[str, ...]:
    """Split a command line into words as a shell does; no shell runs. Raises ConfigurationError."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ConfigurationError(
            f"--with: {text!r} is not a command line ({str(error).lower()}); quote it as in a shell"
        ) from error
    if not words:
        raise ConfigurationError("--with: the command is empty; write a program and its arguments")
    return words


def display_name(words: tuple[str, ...]) -> str:
    """Return the name of the program; for Python, that of the script or module."""
    program, *arguments = words
    name = Path(program).name
    if name.startswith("python") and arguments[:1] != ["-c"]:
        name = next((word for word in arguments if not word.startswith("-")), name)
    return Path(name).name


class CompanionCommand:
    """One command, started once and not restarted."""

    def __init__(
        self,
        words: tuple[str, ...],
        *,
        notify: Callable[[str], None],
        on_output: Callable[[str, str], None],
        on_exit: Callable[[], None],
    ) -> None:
        """Create a command that is not started yet.

        Args:
            words: The program and its arguments.
            notify: Receives messages for the user.
            on_output: Receives the command's name and each line that it writes.
            on_exit: Called once, when the command has ended.
        """
        self.name = display_name(words)
        self.has_failed = False
        """The command could not be started, or ended with an exit code other than 0 without being told to end."""
        self._words = words
        self._notify = notify
        self._on_output = on_output
        self._on_exit = on_exit
        self._process: ChildProcess | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, env: Mapping[str, str]) -> None:
        """Start the command; `env` is set in addition to the inherited variables."""
        process = ChildProcess(self.name, Command(self._words, tuple(sorted(env.items()))), self._on_output)
        self._process = process
        self._task = asyncio.create_task(self._run(process), name=self.name)

    @property
    def is_running(self) -> bool:
        """Whether the command was started and has not ended."""
        return self._task is not None and not self._task.done()

    def terminate(self) -> None:
        """Send SIGTERM to the command and to its children."""
        if self._process is not None:
            self._process.is_stopping = True
            self._process.signal(signal.SIGTERM, group=True)

    async def stop(self) -> None:
        """Terminate the command and wait for its end; kill it after STOP_TIMEOUT."""
        if self._task is None or self._process is None:
            return
        if self.is_running:
            self.terminate()
            await asyncio.wait([self._task], timeout=STOP_TIMEOUT)
        if self.is_running:
            self._notify(f"{self.name} did not end within {STOP_TIMEOUT:.0f}s; killing it")
            self._process.signal(signal.SIGKILL, group=True)
            await asyncio.wait([self._task])

    async def _run(self, process: ChildProcess) -> None:
        try:
            code = await process.run(lambda: None)
        except OSError as error:
            self.has_failed = True
            self._notify(f"{self.name} cannot be started: {os.strerror(error.errno or 0)}")
        else:
            # The exit code of a command that was told to end says nothing about a failure.
            if code and not process.is_stopping:
                self.has_failed = True
                self._notify(f"{self.name} failed: {process.exit_reason(code)}")
        self._on_exit()
