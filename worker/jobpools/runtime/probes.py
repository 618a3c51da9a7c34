"""The responses of /livez and /readyz, and the part of HTTP that they need. Pure: facts in, responses out."""

from jobpools.runtime.vitals import Seen

Answer = tuple[int, str, str]
"""Status, content type, body."""
STALLED_AFTER = 30.0
"""Seconds without progress after which /livez fails: longer than any pause of the machine, short enough to matter."""
LARGEST_REQUEST = 1 << 16
"""Maximum bytes of a request's head."""
_REASONS = {200: "OK", 404: "Not Found", 503: "Service Unavailable"}
NOT_FOUND: Answer = (404, "text/plain", "there are /livez, /readyz and /metrics\n")
STALLED: Answer = (503, "text/plain", "the worker makes no progress: a handler holds the GIL\n")


def livez(seen: Seen, now: float) -> Answer:
    """Report progress, or a reason for none: Redis is unreachable, or a handler is within its deadline."""
    blocked = now - seen.watched
    if blocked > STALLED_AFTER and now > seen.deadline + STALLED_AFTER:
        return 503, "text/plain", f"the event loop has been blocked for {blocked:.0f} s\n"
    # Measured to the event loop's last turn: while the loop is blocked, the dispatcher is not at fault.
    stalled = seen.watched - seen.progress
    if stalled > STALLED_AFTER and not seen.outage:
        return 503, "text/plain", f"the claim loop has not run for {stalled:.0f} s\n"
    return 200, "text/plain", "ok\n"


def readyz(seen: Seen) -> Answer:
    """Report whether the worker claims jobs."""
    if seen.outage:
        return 503, "text/plain", "Redis is away\n"
    if seen.stopping:
        return 503, "text/plain", "stopping\n"
    return 200, "text/plain", "ok\n"


def path_of(request: bytes) -> str | None:
    """Return the path of a request whose head is complete; None: the head is incomplete."""
    if b"\r\n\r\n" not in request and len(request) < LARGEST_REQUEST:
        return None
    words = request.partition(b"\r\n")[0].split(b" ")
    return words[1].decode("latin-1").partition("?")[0] if len(words) > 1 else ""


def response(answer: Answer) -> bytes:
    """Return the answer as HTTP; the connection is closed after it."""
    status, kind, body = answer
    data = body.encode()
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + data
