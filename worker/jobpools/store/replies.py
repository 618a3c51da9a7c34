"""Replies of single commands, whose shape depends on the version of the Redis client."""

from typing import Any, cast


def pairs(reply: Any) -> list[tuple[bytes, bytes]]:
    """Return the fields and values of a hash, whether the client has made a dict of it or not."""
    if isinstance(reply, dict):
        known = cast("dict[bytes, bytes]", reply)
        return list(known.items())
    return list(zip(reply[::2], reply[1::2], strict=True))


def scored(reply: Any) -> list[tuple[str, float]]:
    """Return (id, score) pairs, whether the client has paired them or not."""
    pairs = reply if reply and isinstance(reply[0], (list, tuple)) else zip(reply[::2], reply[1::2], strict=True)
    return [(job_id.decode(), float(score)) for job_id, score in pairs]


def seconds(reply: Any, now: int | str) -> float:
    """Return seconds since the epoch: of a reply of TIME, or of `now` in ms if it is set."""
    return int(reply[0]) + int(reply[1]) / 1e6 if now == "" else int(now) / 1000
