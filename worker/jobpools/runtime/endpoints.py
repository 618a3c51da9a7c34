"""/livez, /readyz and /metrics, from a thread of their own: they answer while a handler blocks the event loop."""

import logging
import socket
import threading
from collections.abc import Callable, Mapping

Answer = tuple[int, str, str]
"""Status, content type, body."""
_REASONS = {200: "OK", 404: "Not Found", 503: "Service Unavailable"}
_PATIENCE = 5.0
"""Seconds that a caller gets to send its request: one at a time is served, probes are short."""


log = logging.getLogger("jobpools.worker")


class Endpoints:
    """A small HTTP server for probes and scrapes; GET only, one request a connection."""

    def __init__(self, port: int, routes: Mapping[str, Callable[[], Answer]], host: str = "") -> None:
        """Port 0 picks a free one. Raises OSError when the port is taken."""
        self._routes = routes
        self._socket = socket.create_server((host, port), backlog=16)
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="jobpools-endpoints", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        # accept() in the other thread ends only when the socket is shut down, not when it is merely closed.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                try:
                    self._answer(connection)
                except OSError:
                    continue
                except Exception:
                    # A probe that nobody answers any more would end the worker.
                    log.exception("an answer failed")

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE)
        request = b""
        while b"\r\n\r\n" not in request and len(request) < 1 << 16:
            part = connection.recv(4096)
            if not part:
                return
            request += part
        path = request.partition(b"\r\n")[0].split(b" ")[1:2]
        route = self._routes.get(path[0].decode("latin-1").partition("?")[0]) if path else None
        status, kind, body = route() if route else (404, "text/plain", "there are /livez, /readyz and /metrics\n")
        data = body.encode()
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(data)}\r\nConnection: close\r\n\r\n"
        )
        connection.sendall(head.encode() + data)
