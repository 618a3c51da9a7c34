"""A fake kubelet for an API server without nodes: it reports pods as ready or as failing."""

import json

from tests.cluster.kubectl import Kubectl, Object
from tests.support.waiting import eventually


class Kubelet:
    """The kubelet of one pool's pods."""

    def __init__(self, kubectl: Kubectl, pool: str) -> None:
        self.kubectl = kubectl
        self.selector = f"jobpools.dev/pool={pool}"

    def pods(self) -> list[Object]:
        found = self.kubectl.list("pods", self.selector)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def names(self) -> set[str]:
        return {pod["metadata"]["name"] for pod in self.pods()}

    def wait_for_pods(self, count: int) -> set[str]:
        eventually(f"{count} pods", lambda: len(self.pods()) == count, within=20)
        return self.names()

    def report_ready(self, *names: str) -> None:
        for name in names or self.names():
            self._status(
                name,
                {
                    "phase": "Running",
                    "startTime": "2026-01-01T00:00:00Z",
                    "containerStatuses": [],
                    "conditions": [
                        {"type": "Ready", "status": "True"},
                        {"type": "PodScheduled", "status": "True"},
                    ],
                },
            )

    def report_waiting(self, reason: str, message: str, *names: str) -> None:
        for name in names or self.names():
            state = {"waiting": {"reason": reason, "message": message}}
            container = {"name": "worker", "image": "x", "imageID": "", "ready": False, "restartCount": 0}
            self._status(name, {"containerStatuses": [container | {"state": state}]})

    def _status(self, name: str, status: Object) -> None:
        patch = json.dumps({"status": status})
        self.kubectl.run("patch", "pod", name, "--subresource=status", "--type=merge", f"--patch={patch}")
