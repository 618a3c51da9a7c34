"""kubectl for tests."""

import contextlib
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import yaml

from tests.support.ports import free_port
from tests.support.waiting import eventually

T = TypeVar("T")
Object = dict[str, Any]


class Kubectl:
    """kubectl in one namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def run(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl; return its output. Raises AssertionError with stderr when it fails and `check` is true."""
        run = subprocess.run(
            ["kubectl", "-n", self.namespace, *arguments], input=stdin, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0 or not check, f"kubectl {' '.join(arguments)}: {run.stderr.strip()}"
        return run.stdout + ("" if run.returncode == 0 else run.stderr)

    def get(self, kind: str, name: str) -> Object | None:
        """Return the object; None: it does not exist."""
        text = self.run("get", kind, name, "--output=json", "--ignore-not-found")
        return json.loads(text) if text else None

    def list(self, kind: str, selector: str = "") -> list[Object]:
        options = (f"--selector={selector}",) if selector else ()
        found: list[Object] = json.loads(self.run("get", kind, "--output=json", *options))["items"]
        return found

    def apply(self, *objects: Object) -> None:
        self.run("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def patch(self, kind: str, name: str, patch: Object) -> None:
        self.run("patch", kind, name, "--type=merge", f"--patch={json.dumps(patch)}")

    @contextmanager
    def port_forward(self, target: str, port: int) -> Iterator[int]:
        """Forward a local port to the target, also after its pod was replaced."""
        local = free_port()
        command = ["kubectl", "-n", self.namespace, "port-forward", target, f"{local}:{port}"]
        over = threading.Event()

        def forward() -> None:
            while not over.is_set():
                with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                    # kubectl does not exit when its pod is gone: it fails at the next connection, and runs on.
                    while not over.wait(0.25) and process.poll() is None:
                        pass
                    process.terminate()

        thread = threading.Thread(target=forward, daemon=True)
        thread.start()
        try:
            eventually(f"port-forward to {target}", lambda: _open(local), within=20)
            yield local
        finally:
            over.set()
            thread.join()


def _open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def ready(pod: Object) -> bool:
    """Return whether the pod's worker claims jobs: it runs, is ready and is not being deleted."""
    conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", ())}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def condition(found: Object, kind: str) -> Object:
    """Return one of the object's conditions; empty: the object does not have it yet."""
    conditions: list[Object] = found.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind), {})
