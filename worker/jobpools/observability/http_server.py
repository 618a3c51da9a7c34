"""An HTTP server in a thread of its own: it answers probes and scrapes while the event loop is blocked."""

import logging
import socket
import threading
from collections.abc import Callable, Mapping

from jobpools.observability.http_messages import NOT_FOUND, Response, encode, request_path

Routes = Mapping[str, Callable[[], Response]]
"""The function that answers each path. It is called in the server's thread."""
_REQUEST_TIMEOUT = 5.0
"""Maximum seconds between two parts of a request. The server reads one request at a time, and probes are short."""

log = logging.getLogger("jobpools.http")


class HttpServer:
    """A small HTTP server for probes and scrapes: GET only, one request per connection."""

    def __init__(self, port: int, routes: Routes, host: str = "") -> None:
        """Open the port; call `start` to answer requests.

        Args:
            port: 0 chooses a free port.
            routes: The function that answers each path.
            host: Address to listen on. Default: all.

        Raises:
            OSError: The port is in use or not permitted.
        """
        self._routes = routes
        self.socket = socket.create_server((host, port), backlog=16)
        self.port: int = self.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="jobpools-http", daemon=True)

    def start(self) -> None:
        """Answer requests from now on."""
        self._thread.start()

    def close(self) -> None:
        """Close the port and end the thread."""
        # accept() in the other thread returns only when the socket is shut down; closing it is not enough.
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
                    # An error in one response must not end the thread: the kubelet would kill a healthy process.
                    log.exception("HTTP server on port %d: a request failed; the caller got no response", self.port)

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(_REQUEST_TIMEOUT)
        request = b""
        while (path := request_path(request)) is None:
            part = connection.recv(4096)
            if not part:
                return
            request += part
        route = self._routes.get(path)
        connection.sendall(encode(route() if route else NOT_FOUND))
