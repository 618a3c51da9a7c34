"""Encode and decode what Redis holds of a job: the versioned envelope, its history and its result."""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any, cast

import msgspec
from pydantic import ValidationError

from jobpools.core.jobs.job import HISTORY_BYTES, Attempt, History, OutcomeKind, Priority
from jobpools.core.jobs.retry import Retry
from jobpools.core.text.validation import explain
from jobpools.errors import StoreDataError

VERSION = 1
ID_LIMIT = 200
_ID = re.compile(rf"[!-~]{{1,{ID_LIMIT}}}")
CALENDARS_END = 253_402_300_800.0
"""The year 10000, in seconds since the epoch."""
UUID_LENGTH = 36
_UUID_7 = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-7", re.ASCII | re.IGNORECASE)
"""How a UUIDv7 begins, as enqueue.lua reads it too."""
FENCE_DIGITS = 10
"""Decimal digits of a fence: it tells apart the claims of one job by one worker, and no more."""


class NewerVersionError(StoreDataError):
    """The envelope was written by a newer jobpools; it is left as it is for a worker that can read it."""


def _encode_custom(value: Any) -> Any:
    if isinstance(value, Retry):
        return value.model_dump(mode="json", exclude_defaults=True)
    raise NotImplementedError(f"{type(value).__name__} has no place in an envelope")  # msgspec's word for a refusal


def _decode_custom(kind: type, value: Any) -> Any:
    if kind is Retry:
        try:
            return Retry.model_validate(value)
        except ValidationError as error:
            wrong = (f"{'.'.join(map(str, each['loc']))}: {explain(each)}" for each in error.errors())
            raise ValueError("; ".join(wrong)) from error
    raise NotImplementedError(f"{kind} has no place in an envelope")  # likewise


class Envelope(msgspec.Struct, omit_defaults=True, gc=False):
    """A job as it was enqueued. It never changes; what happens to the job is written elsewhere.

    `v`, `id`, `name`, `queue` and `args` are always there; the rest only where the handler or the pool says otherwise.
    """

    v: int
    id: str
    name: str
    queue: str
    args: msgspec.Raw
    """The JSON object of keyword arguments, untouched until the handler's signature reads it."""
    priority: str = "normal"
    timeout: float | None = None
    """Seconds."""
    retry: Retry | None = None
    ttl: float | None = None
    """Seconds that the result is kept; 0: not at all."""
    max_crashes: int | None = None
    tags: tuple[str, ...] = ()
    enqueued: float | None = None
    """Seconds since the epoch; set only if the id is not a UUIDv7, which contains the time."""


_PRIORITIES = tuple(map(str, Priority))


class _Version(msgspec.Struct):
    v: int = VERSION


class _Priority(msgspec.Struct):
    priority: str = "normal"


_encoder = msgspec.json.Encoder(enc_hook=_encode_custom)
_decoder = msgspec.json.Decoder(Envelope, dec_hook=_decode_custom)
_version = msgspec.json.Decoder(_Version)
_priority = msgspec.json.Decoder(_Priority)


encode: Callable[[Envelope], bytes] = _encoder.encode
"""Return the envelope as JSON. Raises UnicodeEncodeError for a text that UTF-8 cannot hold."""


def decode(raw: bytes) -> Envelope:
    """Parse an envelope. Raises NewerVersionError and StoreDataError."""
    try:
        envelope = _decoder.decode(raw)
    except (msgspec.DecodeError, ValueError) as error:
        _refuse_newer(raw, error)
        raise StoreDataError(f"not an envelope: {error}") from error
    if envelope.v > VERSION:
        _refuse_newer(raw, None)
    if envelope.priority not in _PRIORITIES:
        raise StoreDataError(f"not an envelope: {envelope.priority!r} is not a priority; use {', '.join(_PRIORITIES)}")
    return envelope


def priority_of(raw: bytes) -> Priority:
    """Return the priority that an envelope names, also one of a newer version; NORMAL where that cannot be read."""
    try:
        return Priority(_priority.decode(raw).priority)
    except (msgspec.DecodeError, ValueError):
        return Priority.NORMAL


def _refuse_newer(raw: bytes, cause: Exception | None) -> None:
    try:
        found = _version.decode(raw).v
    except msgspec.DecodeError:
        return
    if found > VERSION:
        raise NewerVersionError(
            f"the envelope has version {found}, this jobpools reads up to {VERSION}: upgrade the workers"
        ) from cause


_VARIANT = dict(zip("0123456789abcdef", ("-8", "-9", "-a", "-b") * 4, strict=True))
"""By random digit: a hyphen, and the digit with the two bits of a UUID's variant in place of its first two."""
_LATEST_MS = 2**48 - 1
"""Latest time that an id can hold, in ms. A clock beyond it, or before 1970, must not break the id's form."""


def new_id(now: float, random: bytes) -> str:
    """Return the UUIDv7 (RFC 9562, section 5.7) of a time in seconds since the epoch and 10 random bytes."""
    # By digits rather than by bits: a third of the time, and every job has an id.
    digits = random.hex("-", 6)
    return f"{_time_digits(int(now * 1000))}{digits[1:4]}{_VARIANT[digits[4]]}{digits[5:]}"


@lru_cache(maxsize=1)
def _time_digits(ms: int) -> str:
    """Return the first digits of the ids of one millisecond; cached, because jobs sent together share them."""
    digits = f"{min(max(ms, 0), _LATEST_MS):012x}"
    return f"{digits[:8]}-{digits[8:]}-7"


def check_id(given: str) -> str:
    """Return a job id that the caller chose. Raises ValueError if it is not valid."""
    if not isinstance(given, str) or not _ID.fullmatch(given):
        raise ValueError(f"{given!r} cannot be an id: 1 to {ID_LIMIT} printable ASCII characters without blanks")
    return given


def id_time(job_id: str) -> float | None:
    """Return when a job with this id was enqueued, seconds since the epoch; None: the id is not a UUIDv7."""
    found = _UUID_7.match(job_id)
    return None if found is None or len(job_id) != UUID_LENGTH else int(found[1] + found[2], 16) / 1000


def enqueued_at(envelope: Envelope) -> float:
    """Return when the job was enqueued, seconds since the epoch; 0: unknown, or outside the years 1970 to 9999."""
    said = envelope.enqueued
    return said if said is not None and 0 < said < CALENDARS_END else id_time(envelope.id) or 0.0


def lease_suffix(worker: str, number: int) -> str:
    """Return what follows the job id in the lease ids of one claim: the worker and the fence, in a fixed length."""
    return f":{worker}:{number:0{FENCE_DIGITS}d}"


def split_lease_id(lease_id: str) -> tuple[str, str]:
    """Return the job id and the worker id of a lease id."""
    job_id, worker, _ = lease_id.rsplit(":", 2)
    return job_id, worker


class _Attempt(msgspec.Struct, omit_defaults=True):
    attempt: int
    outcome: OutcomeKind
    at: float
    error: str = ""
    message: str = ""
    traceback: str = ""
    delay: float | None = None
    worker: str = ""
    fence: str = ""


class _History(msgspec.Struct, omit_defaults=True):
    attempts: int = 0
    crashes: int = 0
    entries: tuple[_Attempt, ...] = ()
    note: str = ""


_history = msgspec.json.Decoder(_History)
_FIELDS = _Attempt.__struct_fields__


_SHORT = 200
"""Characters that are left of each text of a history that is too long."""


def encode_history(history: History) -> bytes:
    """Return a history as JSON. Never raises: one that cannot be encoded would keep its step from ever being sent.

    One that is longer than HISTORY_BYTES loses the tracebacks of older attempts first.
    """
    try:
        return _fitted(history)
    except Exception:  # noqa: BLE001  # what it holds comes from exceptions, whose code is the user's
        note = "the history could not be encoded"
        return msgspec.json.encode(_History(history.attempts, history.crashes, (), note))


def _fitted(history: History) -> bytes:
    encoded, attempts = _encoded(history), list(history.entries)
    for place in range(len(attempts) - 1):
        if len(encoded) <= HISTORY_BYTES:
            return encoded
        attempts[place] = replace(attempts[place], traceback="")
        encoded = _encoded(replace(history, entries=tuple(attempts)))
    return encoded if len(encoded) <= HISTORY_BYTES else _shortened(history, attempts)


def _shortened(history: History, attempts: list[Attempt]) -> bytes:
    """Cut all texts, and then keep as many of the latest attempts as fit."""
    cut = [
        replace(each, error=each.error[:_SHORT], message=each.message[:_SHORT], traceback=each.traceback[-5 * _SHORT :])
        for each in attempts
    ]
    short = replace(history, entries=tuple(cut), note=history.note[: 2 * _SHORT])
    while len(short.entries) > 1 and len(_encoded(short)) > HISTORY_BYTES:
        short = replace(short, entries=short.entries[1:])
    return _encoded(short)


def _encoded(history: History) -> bytes:
    attempts = tuple(_Attempt(**{name: _whole(getattr(each, name)) for name in _FIELDS}) for each in history.entries)
    return msgspec.json.encode(_History(history.attempts, history.crashes, attempts, _whole(history.note)))


def _whole(value: Any) -> Any:
    """Return text that UTF-8 can hold, as a plain `str`: a lone surrogate is spelt out with a backslash."""
    return str.encode(value, errors="backslashreplace").decode() if isinstance(value, str) else value


def decode_history(raw: bytes | None) -> History:
    """Parse a history; None and an empty value are an empty history. Raises StoreDataError."""
    if not raw:
        return History()
    try:
        found = _history.decode(raw)
    except msgspec.DecodeError as error:
        raise StoreDataError(f"not a history: {error}") from error
    attempts = tuple(Attempt(**{name: getattr(each, name) for name in _FIELDS}) for each in found.entries)
    return History(found.attempts, found.crashes, attempts, found.note)


def read_history(raw: bytes | None) -> History:
    """Parse a history; return an empty one, with the error as its note, if it cannot be read."""
    try:
        return decode_history(raw)
    except StoreDataError as error:
        return History(note=str(error))


class ResultRecord(msgspec.Struct):
    """Record of an ended job, kept until its TTL has passed. The envelope is deleted when the job ends."""

    state: str
    """`completed` or `cancelled`."""
    at: float
    """When it ended by the server's clock, seconds since the epoch."""
    until: float
    """When the record expires, likewise."""
    ms: float = 0.0
    """How long the last attempt ran."""
    name: str = ""
    """The handler's, or its number (`#3`), which `name_of` makes a name again."""
    result: msgspec.Raw = msgspec.Raw(b"null")


ENDED_AS = {b"c": "completed", b"x": "cancelled"}
RECORD_HEAD_BYTES = 13
"""Bytes of a record's letter and its two times."""


@lru_cache(maxsize=1024)
def _word(name: str) -> bytes:
    """Return the name as one word that cannot be a number: as it is, or as JSON with escaped blanks."""
    if name and " " not in name and name[0] not in '"#':
        return name.encode(errors="backslashreplace")
    return msgspec.json.encode(name).replace(b" ", rb"\u0020")


def completed_record(name: str, result: bytes, seconds: float) -> bytes:
    """Return a worker's part of the record of a completed job.

    step.lua puts letter and times before it, and a number in place of the name.

    Args:
        name: the handler's.
        result: what it returned, as JSON.
        seconds: how long the attempt ran.
    """
    return b"%.4g %b %b" % (seconds * 1000, _word(name), result)


def decode_result(raw: bytes) -> ResultRecord:
    """Return what a record says. Raises StoreDataError."""
    state, (ms, _, rest) = ENDED_AS.get(raw[:1]), raw[RECORD_HEAD_BYTES:].partition(b" ")
    if state is None or len(raw) < RECORD_HEAD_BYTES or (state == "completed") != bool(rest):
        raise StoreDataError(f"not a result: {raw[:40]!r}")
    at, ttl = int.from_bytes(raw[1:7]), int.from_bytes(raw[7:13])
    word, _, result = rest.partition(b" ")
    try:
        name, ran = _name(word), float(ms or 0)
        return ResultRecord(state, at / 1000, (at + ttl) / 1000, ran, name, msgspec.Raw(result or b"null"))
    except (ValueError, msgspec.DecodeError) as error:
        raise StoreDataError(f"not a result: {error}") from error


def _name(word: bytes) -> str:
    return msgspec.json.decode(word, type=str) if word[:1] == b'"' else word.decode()


def names_of(numbers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return names by their number (`#3`), of the key `handlers`. Raises StoreDataError."""
    try:
        return {f"#{number.decode()}": _name(word) for word, number in numbers}
    except (ValueError, msgspec.DecodeError) as error:
        raise StoreDataError(f"not the number of a handler: {error}") from error


def decode_ended(raw: bytes) -> tuple[int, int, str]:
    """Return (ms when it ended, ms it is kept, id) of one element in a list of ended jobs."""
    return int.from_bytes(raw[:6]), int.from_bytes(raw[6:12]), raw[12:].decode()


def decode_json(raw: bytes) -> dict[str, Any]:
    """Parse a JSON object. Raises StoreDataError."""
    try:
        return cast("dict[str, Any]", msgspec.json.decode(raw, type=dict))
    except msgspec.DecodeError as error:
        raise StoreDataError(f"not a JSON object: {error}") from error
