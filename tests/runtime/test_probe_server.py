"""The supervisor's probe server: slow, silent and too many callers, and scrapes that the worker does not answer."""

import select
import socket
import time
from collections.abc import Iterator

import pytest

from jobpools.observability.http_messages import Response, ok
from jobpools.runtime import probe_server
from jobpools.runtime.probe_server import CALLER_TIMEOUT, SCRAPE_TIMEOUT, ProbeServer

GET = b"GET %b HTTP/1.1\r\n\r\n"


class Served:
    """A probe server that answers `/livez` and hands every other path to a worker that does not respond."""

    def __init__(self) -> None:
        self.poller = select.poll()
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.server = ProbeServer(self.poller, self.listening, self.answer)
        self.callers: list[socket.socket] = []

    @staticmethod
    def answer(path: str, _connection: socket.socket) -> Response | None:
        return ok() if path == "/livez" else None

    def call(self, request: bytes) -> socket.socket:
        """Connect, and send the request."""
        caller = socket.create_connection(self.listening.getsockname(), timeout=5)
        self.callers.append(caller)
        self.handle_events()
        if request:
            caller.sendall(request)
            self.handle_events()
        return caller

    def handle_events(self) -> None:
        """Handle what is readable now, as the supervisor's loop does."""
        for descriptor, _ in self.poller.poll(1000):
            self.server.handle(descriptor)

    def close(self) -> None:
        self.server.close()
        for caller in self.callers:
            caller.close()


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.close()


def reply(caller: socket.socket) -> bytes:
    """Return everything until the server closes the connection."""
    parts = []
    while part := caller.recv(4096):
        parts.append(part)
    return b"".join(parts)


def test_a_request_is_answered_and_the_connection_closed(served: Served) -> None:
    assert reply(served.call(GET % b"/livez")).startswith(b"HTTP/1.1 200 ")


def test_a_request_may_arrive_in_pieces(served: Served) -> None:
    caller = served.call(b"GET /liv")
    caller.sendall(b"ez HTTP/1.1\r\n\r\n")
    served.handle_events()
    assert reply(caller).startswith(b"HTTP/1.1 200 ")


def test_a_caller_that_hangs_up_early_is_forgotten(served: Served) -> None:
    served.call(b"GET /liv").close()
    served.handle_events()
    assert reply(served.call(GET % b"/livez")).startswith(b"HTTP/1.1 200 ")


def test_a_caller_that_sends_no_request_in_time_is_closed_without_an_answer(served: Served) -> None:
    caller = served.call(b"")
    served.server.close_late(time.monotonic() + CALLER_TIMEOUT - 1)
    caller.sendall(b"GET")
    served.handle_events()
    served.server.close_late(time.monotonic() + CALLER_TIMEOUT + 1)
    assert reply(caller) == b""


def test_a_scrape_that_the_worker_does_not_answer_gets_503(served: Served) -> None:
    caller = served.call(GET % b"/metrics")
    served.server.close_late(time.monotonic() + SCRAPE_TIMEOUT + 1)
    answer = reply(caller)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"the worker makes no progress" in answer


def test_one_caller_too_many_closes_the_oldest(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_server, "MAX_CALLERS", 2)
    oldest, second, newest = (served.call(b"") for _ in range(3))
    assert reply(oldest) == b""
    for caller in (second, newest):
        caller.sendall(GET % b"/livez")
        served.handle_events()
        assert reply(caller).startswith(b"HTTP/1.1 200 ")
