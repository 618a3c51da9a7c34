"""Records of ended jobs: state, times, duration, handler, tags, metadata and result."""

from collections.abc import Iterable
from functools import lru_cache

import msgspec

from jobpools.errors import StoreDataError
from jobpools.store.labels import NO_LABELS, Labels, decode_labels


class ResultRecord(msgspec.Struct):
    """Record of an ended job, kept until its TTL has passed. The envelope is deleted when the job ends."""

    state: str
    """`completed` or `cancelled`."""
    at: float
    """When it ended by the server's clock, seconds since the epoch."""
    until: float
    """When the record expires, seconds since the epoch."""
    ms: float = 0.0
    """Duration of the last attempt."""
    name: str = ""
    """Name of the handler, or its number (`#3`), whose name is in `names_of`."""
    result: msgspec.Raw = msgspec.Raw(b"null")
    labels: Labels = NO_LABELS
    """Tags and metadata of a completed job."""


ENDED_AS = {b"c": "completed", b"x": "cancelled"}
RECORD_HEAD_BYTES = 13
"""Bytes of a record's letter and its two times."""


@lru_cache(maxsize=1024)
def _word(name: str) -> bytes:
    """Return the name as one word without a brace that cannot be a number: as it is, or as JSON with escapes."""
    if name and " " not in name and "{" not in name and name[0] not in '"#':
        return name.encode(errors="backslashreplace")
    return msgspec.json.encode(name).replace(b" ", rb"\u0020").replace(b"{", rb"\u007b")


def completed_record(name: str, result: bytes, seconds: float, labels: bytes = b"") -> bytes:
    """Return a worker's part of the record of a completed job.

    step.lua puts letter and times before it, and a number in place of the name.

    Args:
        name: name of the handler.
        result: return value of the handler, as JSON.
        seconds: duration of the attempt.
        labels: what `encode_labels` returned; empty: the job has no tags and no metadata.
    """
    return b"%.4g %b%b %b" % (seconds * 1000, _word(name), labels, result)


def decode_result(raw: bytes) -> ResultRecord:
    """Parse a record. Raises StoreDataError."""
    state, rest = ENDED_AS.get(raw[:1]), raw[RECORD_HEAD_BYTES:]
    if state is None or len(raw) < RECORD_HEAD_BYTES:
        raise StoreDataError(f"not a result: {raw[:40]!r}")
    at, ttl = int.from_bytes(raw[1:7]), int.from_bytes(raw[7:13])
    record = ResultRecord(state, at / 1000, (at + ttl) / 1000)
    try:
        if state == "completed":
            _read_completed(record, rest)
        else:
            record.name = rest.decode()
    except (ValueError, msgspec.DecodeError) as error:
        raise StoreDataError(f"not a result: {error}") from error
    return record


def _read_completed(record: ResultRecord, raw: bytes) -> None:
    """Set what `completed_record` wrote. Raises ValueError or DecodeError."""
    ms, word, result = raw.split(b" ", 2)
    word, brace, labels = word.partition(b"{")
    record.ms, record.name = float(ms), _name(word)
    record.labels = decode_labels(brace + labels)
    record.result = msgspec.Raw(result)


def decode_unexpired(raw: bytes | None, now: float) -> ResultRecord | None:
    """Parse a record; None: there is none, or it has expired, to the millisecond."""
    if raw is None:
        return None
    record = decode_result(raw)
    return record if record.until > now else None


def _name(word: bytes) -> str:
    return msgspec.json.decode(word, type=str) if word[:1] == b'"' else word.decode()


def names_of(numbers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the names of handlers by number (`#3`) from the hash `handlers`. Raises StoreDataError."""
    try:
        return {f"#{number.decode()}": _name(word) for word, number in numbers}
    except (ValueError, msgspec.DecodeError) as error:
        raise StoreDataError(f"not the number of a handler: {error}") from error


def decode_ended(raw: bytes) -> tuple[int, int, str]:
    """Return (ms when it ended, ms it is kept, id) of one element in a list of ended jobs."""
    return int.from_bytes(raw[:6]), int.from_bytes(raw[6:12]), raw[12:].decode()
