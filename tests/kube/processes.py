"""The operator and a Valkey as processes that can be killed and started again."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from tests.support.ports import free_port
from tests.support.servers import valkey_binary
from tests.support.waiting import eventually


class Valkey:
    """A server that keeps its port when it is restarted."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def at(cls, url: str) -> "Valkey":
        """Return a server that runs already."""
        found = cls()
        found.url = url
        return found

    def start(self) -> None:
        flags = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen([valkey_binary(), *flags], stdout=subprocess.DEVNULL)

        def responds() -> Any:
            with Redis.from_url(self.url) as redis:
                try:
                    return redis.ping()
                except RedisError:
                    return False

        eventually("Valkey responds", responds, within=10)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Operator:
    """`python -m jobpools_operator` with its log in a file."""

    def __init__(  # what identifies it, and what it manages
        self, redis_url: str, namespace: str, identity: str, folder: Path, kubeconfig: Path, *, everywhere: bool = False
    ) -> None:
        """`kubeconfig`: its credentials. `everywhere`: it manages all namespaces, not only `namespace`."""
        self.identity = identity
        self.port = free_port()
        self.log = folder / f"{identity}.log"
        self._env = os.environ | {
            "KUBECONFIG": str(kubeconfig),
            "JOBPOOLS_REDIS_URL": redis_url,
            "JOBPOOLS_LEASE_NAME": f"{namespace}-operator",
            "JOBPOOLS_NAMESPACES": "" if everywhere else namespace,
            "JOBPOOLS_LEASE_NAMESPACE": namespace,
            "JOBPOOLS_IDENTITY": identity,
            "JOBPOOLS_PROBE_PORT": str(self.port),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-W", "error::RuntimeWarning", "-m", "jobpools_operator"]
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(command, env=self._env, stdout=out, stderr=out)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, seconds: float = 15) -> int:
        assert self._process is not None
        return self._process.wait(seconds)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def get(self, path: str) -> str:
        """Return the body; empty while the operator does not respond."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as response:  # this process
                text: str = response.read().decode()
                return text
        except OSError:
            return ""

    def metric(self, name: str) -> float:
        found = re.search(rf"^jobpools_{name} (\S+)$", self.get("/metrics"), re.MULTILINE)
        return float(found[1]) if found else -1

    def leads(self) -> bool:
        return self.metric("operator_leading") == 1
