"""Programs of this folder that a run kills and starts again, with the same arguments."""

import subprocess
import sys
from pathlib import Path

from tests.support.workers import ROOT


class Program:
    """One process of `python -m tests.chaos.NAME`; the log goes to a file."""

    def __init__(self, folder: Path, name: str) -> None:
        """Start nothing; `start` does."""
        self.name = name
        self.log = folder / f"{name}.log"
        self._arguments: tuple[str, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def exit_code(self) -> int | None:
        """Return the exit code; None: it runs, or was not started."""
        return None if self._process is None else self._process.poll()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *arguments: str) -> None:
        """Start the program; without arguments, with those of the last start."""
        self._arguments = arguments or self._arguments
        command = [sys.executable, "-m", f"tests.chaos.{self.name}", *self._arguments]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
