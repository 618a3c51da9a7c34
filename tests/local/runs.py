"""`jobpools up` as a user runs it: a process of its own, its lines as they come."""

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

from tests.support.waiting import PATIENCE, eventually


class Run:
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
            sys.stdout.write("\n".join(["what it said:", *self.lines, ""]))

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def wait(self, pattern: str, seconds: float = PATIENCE) -> re.Match[str]:
        """The first line that the pattern is found in."""
        return eventually(f"a line {pattern!r}", lambda: self._find(pattern), seconds)

    def _find(self, pattern: str) -> re.Match[str] | None:
        return next((found for line in list(self.lines) if (found := re.search(pattern, line))), None)

    def end(self, seconds: float = PATIENCE) -> int:
        """Wait for its end; returns the exit code."""
        code = self.process.wait(seconds)
        self._reader.join()
        return code

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def running(self, count: int) -> list[int]:
        """Wait until so many jobs `slow` run; returns the numbers of their processes."""

        def look() -> list[int]:
            texts = [path.read_text() for path in self.folder.glob("running-*")]
            return [int(text) for text in texts if text]

        return eventually(f"{count} jobs run", lambda: found if len(found := look()) >= count else [])
