"""The part of HTTP/1.1 that probes and scrapes need: GET only, one request per connection. No I/O."""

from typing import Final, NamedTuple

MAX_HEAD_BYTES: Final = 1 << 16
"""Maximum bytes of a request's head; a longer head is answered as if it were complete."""
_REASONS = {200: "OK", 404: "Not Found", 503: "Service Unavailable"}


class Response(NamedTuple):
    """One HTTP response."""

    status: int
    content_type: str
    body: str


def ok(text: str = "ok") -> Response:
    """Return a 200 response with one line of text."""
    return Response(200, "text/plain", f"{text}\n")


def unavailable(text: str) -> Response:
    """Return a 503 response with one line of text."""
    return Response(503, "text/plain", f"{text}\n")


NOT_FOUND: Final = Response(404, "text/plain", "not found; use /livez, /readyz or /metrics\n")


def request_path(request: bytes) -> str | None:
    """Return the path of a request, without its query.

    Args:
        request: All bytes of the connection so far.

    Returns:
        None while the head is incomplete; "" if the first line has no path.
    """
    if b"\r\n\r\n" not in request and len(request) < MAX_HEAD_BYTES:
        return None
    words = request.partition(b"\r\n")[0].split(b" ")
    return words[1].decode("latin-1").partition("?")[0] if len(words) > 1 else ""


def encode(response: Response) -> bytes:
    """Return the response as bytes; it announces that the server closes the connection."""
    body = response.body.encode()
    head = (
        f"HTTP/1.1 {response.status} {_REASONS[response.status]}\r\nContent-Type: {response.content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
