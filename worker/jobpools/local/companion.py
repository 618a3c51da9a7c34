"""A command that runs beside the pools for as long as it likes: what enqueues work, or plays the outside world."""

import asyncio
import os
import shlex
import signal
from collections.abc import Callable
from pathlib import Path

from jobpools.errors import ConfigurationError
from jobpools.local.child_process import Process
from jobpools.local.worker_command import Command

PATIENCE = 10.0
"""Seconds that it gets to end after SIGTERM."""


def split(text: str) -> tuple[str, ...]:
    """The words of a command line, quotes heeded; no shell is involved. Raises ConfigurationError."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ConfigurationError(f"--with {text!r}: {error}") from error
    if not words:
        raise ConfigurationError("--with: there is no command")
    return words


def short(words: tuple[str, ...]) -> str:
    """What its lines begin with: the program's name; of Python, that of the script or module."""
    program, *rest = words
    name = Path(program).name
    if name.startswith("python") and rest[:1] != ["-c"]:
        name = next((word for word in rest if not word.startswith("-")), name)
    return Path(name).name


class Beside:
    """One command, started once and not restarted."""

    def __init__(
        self,
        words: tuple[str, ...],
        env: dict[str, str],
        *,
        say: Callable[[str], None],
        told: Callable[[str, str], None],
        ended: Callable[[], None],
    ) -> None:
        """`env` is set beside what is inherited; `told(name, line)` gets what it writes, `ended` is called once."""
        self.name = short(words)
        self.failed = False
        """It ended with an exit code other than 0, or could not be started."""
        self._say = say
        self._ended = ended
        self._process = Process(self.name, Command(words, tuple(sorted(env.items()))), told)
        self._task = asyncio.create_task(self._live(), name=self.name)

    @property
    def running(self) -> bool:
        """It has not ended yet."""
        return not self._task.done()

    def stop(self) -> None:
        """SIGTERM, to its children as well: the command decides what it still does."""
        self._process.stopping = True
        self._process.signal(signal.SIGTERM, group=True)

    async def end(self) -> None:
        """Tell it to go, wait for it, and kill it when it does not."""
        if self.running:
            self.stop()
            await asyncio.wait([self._task], timeout=PATIENCE)
        if self.running:
            self._say(f"{self.name} does not end; it is killed")
            self._process.signal(signal.SIGKILL, group=True)
            await asyncio.wait([self._task])

    async def _live(self) -> None:
        try:
            code = await self._process.run(lambda: None)
        except OSError as error:
            self.failed = True
            self._say(f"{self.name} cannot be started: {os.strerror(error.errno or 0)}")
        else:
            # Told to go, it may go as it likes.
            if code and not self._process.stopping:
                self.failed = True
                self._say(f"{self.name} failed: {self._process.last_words(code)}")
        self._ended()
