"""Messages of a worker to its supervisor: "hello" with its description and probe port, "goodbye" with its exit code."""

import json
import socket
from collections.abc import Mapping
from typing import Any


class WorkerMessages:
    """Reads the messages of one worker from their channel."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self._unread = b""
        self.description: Mapping[str, Any] | None = None
        """The worker's description; None: it has not started to claim jobs."""
        self.exit_code: int | None = None
        """The exit code of the goodbye: all attempts are settled. None: no goodbye has arrived."""
        self.is_closed = False
        """Whether the worker has closed the channel."""

    def read(self) -> list[socket.socket]:
        """Read what has arrived; return the listening sockets that came with it."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self.channel, 1 << 16, 1)
        except (BlockingIOError, ConnectionResetError):
            return []
        self.is_closed = self.is_closed or not data
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            message: Mapping[str, Any] = json.loads(line)
            if "goodbye" in message:
                self.exit_code = int(message["goodbye"])
            else:
                self.description = message
        return [socket.socket(fileno=descriptor) for descriptor in descriptors]
