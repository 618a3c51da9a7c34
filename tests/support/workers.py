"""Real `jobpools worker` processes for tests: started with an environment, signalled, observed by log and endpoints."""

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
    """One worker with its supervisor; the log goes to a file."""

    def __init__(self, folder: Path, name: str, url: str, app: str, **environment: str) -> None:
        """Start the worker. `environment` has no prefix: `LEASE="1s"` sets JOBPOOLS_LEASE."""
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

    def log_count(self, text: str) -> int:
        """Return how often the text is in the log."""
        return self.log().count(text)

    def wait_started(self) -> None:
        """Wait until the worker serves its queues, or has ended."""
        eventually(
            f"{self.name} is ready", lambda: self.log_count(" slots, queues ") > 0 or self.process.poll() is not None
        )

    def wait_ready(self) -> "WorkerProcess":
        """Wait until the worker serves its queues."""
        self.wait_started()
        assert self.process.poll() is None, self.log()
        return self

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def tree(self) -> list[int]:
        """Return the pids of the supervisor, the worker and their descendants, parents first."""
        return [self.process.pid, *processes.descendants(self.process.pid)]

    def worker(self) -> int:
        """Return the pid of the process that runs the jobs: the first that the supervisor started."""
        if not self._worker:
            self._worker = processes.descendants(self.process.pid)[0]
        return self._worker

    def pause(self) -> None:
        """Stop supervisor, worker and descendants, as a paused machine does."""
        processes.send(self.tree(), signal.SIGSTOP)

    def resume(self) -> None:
        """Continue them."""
        processes.send(self.tree(), signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def kill_tree(self) -> None:
        """Kill supervisor, worker and descendants at the same moment: stopped ones, too, and nothing is left."""
        if self.process.poll() is None:
            processes.send(self.tree(), signal.SIGKILL)
        self.process.wait()

    def wait(self, timeout: float = DEADLINE) -> int:
        """Return the exit code as soon as the worker has ended."""
        return self.process.wait(timeout)

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of one of its endpoints."""
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
def running_workers(folder: Path, url: str, app: str, *names: str, **environment: str) -> Iterator[list[WorkerProcess]]:
    """Run workers of these names, all ready; those that still run at the end are killed."""
    workers = [WorkerProcess(folder, name, url, app, **environment) for name in names]
    try:
        for worker in workers:
            worker.wait_ready()
        yield workers
    finally:
        for worker in workers:
            worker.kill()
