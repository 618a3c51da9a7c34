"""`jobpools up` as a process of its own, with its lines as they come."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.waiting import DEADLINE, eventually


class UpProcess:
    """One `jobpools up …`, killed at the end of its `with` block if it still runs."""

    def __init__(self, folder: Path, arguments: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.lines: list[str] = []
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("JOBPOOLS_")}
        # As in a shell with an active environment: `python` is the one that has jobpools.
        inherited["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{inherited['PATH']}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jobpools.cli", "up", *arguments], cwd=folder, env=inherited | dict(env or {}),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        if self.process.stdout is not None:
            self.process.stdout.close()
        if error is not None:
            sys.stdout.write("\n".join(["output:", *self.lines, ""]))

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def wait_for_line(self, pattern: str, seconds: float = DEADLINE) -> re.Match[str]:
        """Wait for a line that contains the pattern, and return the match."""
        return eventually(f"a line {pattern!r}", lambda: self.find(pattern), seconds)

    def find(self, pattern: str) -> re.Match[str] | None:
        """Return the match in the first line so far that contains the pattern."""
        return next((found for line in list(self.lines) if (found := re.search(pattern, line))), None)

    def count(self, text: str) -> int:
        """Return the number of lines so far that contain this text."""
        return len([line for line in self.lines if text in line])

    def wait(self, seconds: float = DEADLINE) -> int:
        """Wait for the end of the process and return its exit code."""
        code = self.process.wait(seconds)
        self._reader.join()
        return code

    def press_ctrl_c(self) -> None:
        """Send SIGINT."""
        self.process.send_signal(signal.SIGINT)

    def wait_for_running_jobs(self, count: int) -> list[int]:
        """Wait until this many jobs `slow` run, and return the ids of their processes."""

        def pids() -> list[int]:
            texts = [path.read_text() for path in self.folder.glob("running-*")]
            return [int(text) for text in texts if text]

        return eventually(f"{count} running jobs", lambda: found if len(found := pids()) >= count else [])
