"""The supervisor's probe server: it responds even while the worker's threads are blocked."""

import contextlib
import select
import socket
import time
from collections.abc import Callable

from jobpools.observability.http_messages import Response, encode, request_path
from jobpools.runtime.probes import STALLED

CALLER_TIMEOUT = 5.0
"""Maximum seconds for a caller to send its request."""
SCRAPE_TIMEOUT = 3.0
"""Maximum seconds for the worker to answer a scrape; then the response says that it is stalled."""
MAX_CALLERS = 64
"""Maximum number of open connections; a new one closes the one with the earliest deadline."""


class Caller:
    """One connection, until it is answered."""

    __slots__ = ("connection", "deadline", "is_handed_over", "request")

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self.connection = connection
        self.request = b""
        self.deadline = deadline
        self.is_handed_over = False


class ProbeServer:
    """An HTTP server in the poll loop of its owner; GET only, one request per connection."""

    def __init__(
        self,
        poller: select.poll,
        listening: socket.socket,
        answer: Callable[[str, socket.socket], Response | None],
    ) -> None:
        """`answer(path, connection)` returns None if another process answers on the connection."""
        self._poller = poller
        self._listening = listening
        self._answer = answer
        self._callers: dict[int, Caller] = {}
        listening.setblocking(False)
        poller.register(listening, select.POLLIN)

    def handle(self, descriptor: int) -> None:
        """Handle a readable descriptor, if it belongs to this server."""
        if descriptor == self._listening.fileno():
            self._accept()
        elif descriptor in self._callers:
            caller = self._callers[descriptor]
            if caller.is_handed_over:  # the worker has answered and shut the connection down
                self._close(caller)
            else:
                self._read(caller)

    def close_late(self, now: float) -> None:
        """Close the connections of callers that sent no request in time, and of those that got no answer."""
        for caller in [each for each in self._callers.values() if each.deadline < now]:
            if caller.is_handed_over:
                self._write(caller, STALLED)
            self._close(caller)

    def close(self) -> None:
        """Stop responding: close all connections and the port."""
        for caller in list(self._callers.values()):
            self._close(caller)
        self._poller.unregister(self._listening)
        self._listening.close()

    def _accept(self) -> None:
        if len(self._callers) >= MAX_CALLERS:
            self._close(min(self._callers.values(), key=lambda each: each.deadline))
        try:
            connection, _ = self._listening.accept()
        except OSError:
            return
        connection.setblocking(False)
        self._callers[connection.fileno()] = Caller(connection, time.monotonic() + CALLER_TIMEOUT)
        self._poller.register(connection, select.POLLIN)

    def _read(self, caller: Caller) -> None:
        try:
            part = caller.connection.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        caller.request += part
        path = request_path(caller.request)
        if path is not None:
            self._reply(caller, path)
        elif not part:
            self._close(caller)

    def _reply(self, caller: Caller, path: str) -> None:
        answer = self._answer(path, caller.connection)
        if answer is not None:
            self._write(caller, answer)
            self._close(caller)
            return
        caller.is_handed_over, caller.deadline = True, time.monotonic() + SCRAPE_TIMEOUT
        self._poller.modify(caller.connection, 0)  # report only that it was shut down

    @staticmethod
    def _write(caller: Caller, answer: Response) -> None:
        with contextlib.suppress(OSError):  # a small answer fits into the socket's buffer
            caller.connection.sendall(encode(answer))
            caller.connection.shutdown(socket.SHUT_WR)

    def _close(self, caller: Caller) -> None:
        self._poller.unregister(caller.connection)
        del self._callers[caller.connection.fileno()]
        caller.connection.close()
