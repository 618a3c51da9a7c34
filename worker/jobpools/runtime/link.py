"""A worker's connection to its supervisor: its description, its exit code, and scrapes that it answers."""

import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from jobpools.runtime import guardian
from jobpools.runtime.vitals import Vitals

GUARDIAN_TIMEOUT = 10.0
"""Maximum seconds for the guardian to end this process after the supervisor's death."""


class Link:
    """The worker's side of the connection."""

    def __init__(self, channel: socket.socket, vitals: Vitals) -> None:
        self._channel = channel
        self._pid = os.getpid()
        self.vitals = vitals

    def fileno(self) -> int:
        """Return the descriptor of the connection."""
        return self._channel.fileno()

    def hello(self, description: Mapping[str, Any], listening: socket.socket | None) -> None:
        """Send this worker's description and its probe port; from now on the supervisor answers there."""
        line = json.dumps(description).encode() + b"\n"
        sockets = [] if listening is None else [listening.fileno()]
        sent = socket.send_fds(self._channel, [line], sockets)
        self._channel.sendall(line[sent:])

    def goodbye(self, code: int) -> None:
        """Send this worker's exit code; every attempt is settled."""
        if os.getpid() == self._pid:
            with contextlib.suppress(OSError):  # the supervisor has ended
                self._channel.sendall(json.dumps({"goodbye": code}).encode() + b"\n")

    def detach(self) -> None:
        """Leave the connection open until the process ends, because a thread may be reading from it."""
        self._channel.detach()

    def serve(self, answer: Callable[[], bytes]) -> None:
        """Answer each scrape whose connection the supervisor passes on, in a thread of its own."""
        threading.Thread(target=self._serve, args=(answer,), name="jobpools-link", daemon=True).start()

    def _serve(self, answer: Callable[[], bytes]) -> None:
        while True:
            data, descriptors, _, _ = socket.recv_fds(self._channel, 1, 1)
            if not data:
                # The supervisor was killed. If there is a guardian, the kernel stops this process, and the guardian
                # ends it and its descendants. Otherwise it ends itself and its process group.
                time.sleep(GUARDIAN_TIMEOUT if guardian.is_possible() else 0)
                os.killpg(os.getpgrp(), signal.SIGKILL)
            for descriptor in descriptors:
                with socket.socket(fileno=descriptor) as connection, contextlib.suppress(OSError):
                    connection.settimeout(1)
                    connection.sendall(answer())
                    connection.shutdown(socket.SHUT_RDWR)  # tells the supervisor that the scrape was answered


_of_this_process: Link | None = None


def connect(link: Link) -> None:
    """Set the link of this process."""
    global _of_this_process  # noqa: PLW0603  # a process has one supervisor
    _of_this_process = link


def of_this_process() -> Link | None:
    """Return the link to the supervisor; None: there is none."""
    return _of_this_process
