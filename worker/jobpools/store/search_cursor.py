"""The cursor of a search: where the next page continues, as opaque text."""

import base64
import hashlib
import json
from dataclasses import astuple, dataclass
from typing import Any

_CHECK_BYTES = 6
_DAMAGED = "it is damaged; copy the whole cursor of the page before"


@dataclass(frozen=True, slots=True)
class SearchCursor:
    """The place at which the next page of a search begins."""

    digest: str
    """`JobFilter.digest` of the search."""
    began: float
    """When the search began by the server's clock, seconds since the epoch: relative times count from it."""
    examined: int
    """Number of jobs that earlier pages have examined."""
    queue: str
    part: str
    """Where the jobs are that the next page begins with."""
    position: Any
    """What the reader of that part returned; None: its beginning."""

    def encode(self) -> str:
        """Return the cursor as text of letters, digits, `-` and `_`."""
        content = json.dumps(astuple(self), separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(_check(content) + content).decode().rstrip("=")


def decode_cursor(text: str, digest: str) -> SearchCursor:
    """Parse a cursor. Raises ValueError if it is damaged or belongs to another filter."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise ValueError(_DAMAGED) from error
    content = raw[_CHECK_BYTES:]
    if raw[:_CHECK_BYTES] != _check(content):
        raise ValueError(_DAMAGED)
    found = SearchCursor(*json.loads(content))
    if found.digest != digest:
        raise ValueError("it belongs to another filter; repeat the filter of the page before, or omit the cursor")
    return found


def _check(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:_CHECK_BYTES]
