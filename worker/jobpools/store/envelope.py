"""The envelope: the versioned bytes that hold a job in Redis."""

from collections.abc import Callable
from typing import Any

import msgspec
from pydantic import ValidationError

from jobpools.core.jobs.job import Priority
from jobpools.core.jobs.retry import Retry
from jobpools.core.text.validation import explain
from jobpools.errors import StoreDataError
from jobpools.store.job_ids import id_time

ENVELOPE_VERSION = 1
"""Version of the envelopes that this jobpools writes, and the highest that it reads."""
CALENDARS_END = 253_402_300_800.0
"""The year 10000, in seconds since the epoch."""


class NewerVersionError(StoreDataError):
    """The envelope was written by a newer jobpools; it is left as it is for a worker that can read it."""


def _encode_custom(value: Any) -> Any:
    if isinstance(value, Retry):
        return value.model_dump(mode="json", exclude_defaults=True)
    raise NotImplementedError(f"an envelope cannot hold a {type(value).__name__}")  # what msgspec expects


def _decode_custom(kind: type, value: Any) -> Any:
    if kind is Retry:
        try:
            return Retry.model_validate(value)
        except ValidationError as error:
            wrong = (f"{'.'.join(map(str, each['loc']))}: {explain(each)}" for each in error.errors())
            raise ValueError("; ".join(wrong)) from error
    raise NotImplementedError(f"an envelope cannot hold a {kind}")  # what msgspec expects


class Envelope(msgspec.Struct, omit_defaults=True, gc=False):
    """A job as it was enqueued. It never changes; what happens to the job is written elsewhere.

    `v`, `id`, `name`, `queue` and `args` are always there; the other fields only where they differ from the default.
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
    """Seconds that the result is kept; 0: it is not kept."""
    max_crashes: int | None = None
    tags: tuple[str, ...] = ()
    enqueued: float | None = None
    """Seconds since the epoch; set only if the id is not a UUIDv7, which contains the time."""
    meta: dict[str, Any] | None = None
    """The option `metadata`: a JSON object that travels with the job, for middleware and handlers."""
    expires_at: int | None = None
    """ms since the epoch after which no attempt starts; enqueue.lua adds it."""


_PRIORITIES = tuple(map(str, Priority))


class _Version(msgspec.Struct):
    v: int = ENVELOPE_VERSION


class _Priority(msgspec.Struct):
    priority: str = "normal"


_encoder = msgspec.json.Encoder(enc_hook=_encode_custom)
_decoder = msgspec.json.Decoder(Envelope, dec_hook=_decode_custom)
_version = msgspec.json.Decoder(_Version)
_priority = msgspec.json.Decoder(_Priority)


encode_envelope: Callable[[Envelope], bytes] = _encoder.encode
"""Return the envelope as JSON. Raises UnicodeEncodeError for text that UTF-8 cannot encode."""


def decode_envelope(raw: bytes) -> Envelope:
    """Parse an envelope. Raises NewerVersionError and StoreDataError."""
    try:
        envelope = _decoder.decode(raw)
    except (msgspec.DecodeError, ValueError) as error:
        _refuse_newer(raw, error)
        raise StoreDataError(f"not an envelope: {error}") from error
    if envelope.v > ENVELOPE_VERSION:
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
    if found > ENVELOPE_VERSION:
        raise NewerVersionError(
            f"the envelope has version {found}, and this jobpools reads up to {ENVELOPE_VERSION}; upgrade the workers"
        ) from cause


def enqueued_at(envelope: Envelope) -> float:
    """Return when the job was enqueued, seconds since the epoch; 0: unknown, or outside the years 1970 to 9999."""
    stated = envelope.enqueued
    return stated if stated is not None and 0 < stated < CALENDARS_END else id_time(envelope.id) or 0.0
