"""/livez, /readyz and /metrics of a worker without a supervisor: a thread answers while the event loop is blocked."""

import logging
import socket
import threading
from collections.abc import Callable, Mapping

from jobpools.runtime.probes import NOT_FOUND, Answer, path_of, response

_PATIENCE = 5.0
"""Seconds that a caller gets to send its request: one at a time is served, probes are short."""


log = logging.getLogger("jobpools.worker")


class Endpoints:
    """A small HTTP server for probes and scrapes; GET only, one request a connection."""

    def __init__(self, port: int, routes: Mapping[str, Callable[[], Answer]], host: str = "") -> None:
        """Port 0 picks a free one. Raises OSError when the port is taken."""
        self._routes = routes
        self.socket = socket.create_server((host, port), backlog=16)
        self.port: int = self.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="jobpools-endpoints", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        # accept() in the other thread ends only when the socket is shut down, not when it is merely closed.
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
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
        while (path := path_of(request)) is None:
            part = connection.recv(4096)
            if not part:
                return
            request += part
        route = self._routes.get(path)
        connection.sendall(response(route() if route else NOT_FOUND))
