"""The HTTP server for probes and scrapes, which no request can end."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from jobpools.observability.http_messages import Response, ok, unavailable
from jobpools.observability.http_server import HttpServer
from tests.support.http_get import get


def broken() -> Response:
    raise RuntimeError("on purpose")


@pytest.fixture
def server() -> Iterator[HttpServer]:
    server = HttpServer(0, {"/ok": lambda: ok("fine"), "/no": lambda: unavailable("no"), "/broken": broken})
    server.start()
    yield server
    server.close()


def test_each_path_has_its_response(server: HttpServer) -> None:
    assert get(server.port, "/ok") == (200, "text/plain", "fine\n")
    assert get(server.port, "/ok?x=1") == (200, "text/plain", "fine\n")
    assert get(server.port, "/no") == (503, "text/plain", "no\n")
    assert get(server.port, "/nowhere") == (404, "text/plain", "not found; use /livez, /readyz or /metrics\n")


@pytest.mark.parametrize("request_", [b"", b"\r\n\r\n", b"GET\r\n\r\n", b"\xff\x00\r\n\r\n", b"x" * 70_000])
def test_an_invalid_request_does_not_end_the_server(server: HttpServer, request_: bytes) -> None:
    closed = contextlib.suppress(OSError)  # the server may close the connection at any point
    with closed, socket.create_connection(("127.0.0.1", server.port), timeout=30) as caller:
        caller.sendall(request_)
        caller.shutdown(socket.SHUT_WR)
        while caller.recv(4096):
            pass
    assert get(server.port, "/ok")[0] == 200


def test_an_error_in_a_response_does_not_end_the_server(server: HttpServer, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(OSError, match="closed connection"):
        get(server.port, "/broken")
    assert get(server.port, "/ok")[0] == 200
    assert f"HTTP server on port {server.port}: a request failed; the caller got no response" in caplog.text


def test_a_port_that_is_taken_is_an_error(server: HttpServer) -> None:
    with pytest.raises(OSError, match="in use"):
        HttpServer(server.port, {})
