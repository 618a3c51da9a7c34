"""Real `jobpools worker` processes for tests: started with an environment, signalled, read by their log."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobpools.runtime import processes
from tests.support.ports import free_port
from tests.support.waiting import DEADLINE, eventually

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "jobpools.cli", "worker")


class WorkerProcess:
    """One worker; its log goes to a file."""

    def __init__(self, folder: Path, name: str, url: str, app: str, **environment: str) -> None:
        """`environment` without the prefix: `LEASE="1s"` is JOBPOOLS_LEASE."""
        self.name = name
        self._worker = 0
        self.port = free_port()
        self._log = folder / f"{name}.log"
        given = {"REDIS_URL": url, "APP": app, "WORKER": name, "PROBE_PORT": str(self.port)} | environment
        variables = {key: value for key, value in os.environ.items() if not key.startswith("JOBPOOLS_")}
        variables |= {f"JOBPOOLS_{key}": value for key, value in given.items()}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(COMMAND, cwd=ROOT, env=variables, stdout=log, stderr=log)

    def log(self) -> str:
        return self._log.read_text()

    def said(self, text: str) -> int:
        """How often."""
        return self.log().count(text)

    def started(self) -> None:
        """Wait until it serves its queues, or has ended."""
        eventually(f"{self.name} is ready", lambda: self.said(" slots, queues ") > 0 or self.process.poll() is not None)

    def ready(self) -> "WorkerProcess":
        self.started()
        assert self.process.poll() is None, self.log()
        return self

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def tree(self) -> list[int]:
        """The process that is seen, its worker, and whatever these started, parents first."""
        return [self.process.pid, *processes.descendants(self.process.pid)]

    def worker(self) -> int:
        """The process that runs the jobs; the same at each call, for the supervisor starts others beside it later."""
        if not self._worker:
            self._worker = processes.descendants(self.process.pid)[0]
        return self._worker

    def freeze(self) -> None:
        """Stop the worker and all its children, as a paused machine does."""
        processes.send(self.tree(), signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        processes.send(self.tree(), signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def wait(self, timeout: float = DEADLINE) -> int:
        """Its exit code."""
        return self.process.wait(timeout)

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of one of its endpoints."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        """Return the sum of a metric over its labels, once the worker answers: a scrape fails while it is stopped."""
        answer = eventually(
            "the worker answers the scrape", lambda: got if (got := self.get("/metrics"))[0] == 200 else None
        )
        lines = [line for line in answer[1].splitlines() if line.startswith(f"{name}{{")]
        assert lines, name
        return sum(float(line.rpartition(" ")[2]) for line in lines)


@contextmanager
def crew(folder: Path, url: str, app: str, *names: str, **environment: str) -> Iterator[list[WorkerProcess]]:
    """Workers of these names, all ready; whatever is left of them at the end is killed."""
    workers = [WorkerProcess(folder, name, url, app, **environment) for name in names]
    try:
        for worker in workers:
            worker.ready()
        yield workers
    finally:
        for worker in workers:
            worker.kill()
