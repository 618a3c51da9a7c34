"""The part of HTTP that probes and scrapes need."""

import pytest

from jobpools.observability.http_messages import MAX_HEAD_BYTES, Response, encode, request_path


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        (b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n", "/livez"),
        (b"GET /livez?verbose=1 HTTP/1.1\r\n\r\n", "/livez"),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\n", None),
        (b"", None),
        (b"\r\n\r\n", ""),
        (b"GET\r\n\r\n", ""),
        (b"x" * MAX_HEAD_BYTES, ""),
    ],
    ids=["path", "query", "incomplete", "empty", "blank line", "no path", "too long"],
)
def test_the_path_of_a_request(request_: bytes, path: str | None) -> None:
    assert request_path(request_) == path


def test_a_response_has_the_length_of_its_body_in_bytes() -> None:
    assert encode(Response(503, "text/plain", "ü\n")) == (
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\n"
        b"Content-Length: 3\r\nConnection: close\r\n\r\n\xc3\xbc\n"
    )
