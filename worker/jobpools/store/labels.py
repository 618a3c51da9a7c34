"""The tags and the metadata of a completed job, as its record keeps them."""

from typing import Any

import msgspec

from jobpools.store.envelope import Envelope

LABELS_LIMIT = 1024
"""Maximum bytes of tags and metadata in a record. If both do not fit, only the tags are kept; else neither."""


class Labels(msgspec.Struct, frozen=True, omit_defaults=True):
    """The tags and the metadata of a job."""

    tags: tuple[str, ...] = ()
    meta: dict[str, Any] | None = None


NO_LABELS = Labels()
_decoder = msgspec.json.Decoder(Labels)


def encode_labels(envelope: Envelope) -> bytes:
    """Return the tags and the metadata of a job as a JSON object without spaces; empty: none, or too large."""
    for labels in (Labels(envelope.tags, envelope.meta), Labels(envelope.tags)):
        raw = msgspec.json.encode(labels).replace(b" ", rb"\u0020")
        if len(b"{}") < len(raw) <= LABELS_LIMIT:
            return raw
    return b""


def decode_labels(raw: bytes) -> Labels:
    """Parse what `encode_labels` returned. Raises msgspec.DecodeError."""
    return _decoder.decode(raw) if raw else NO_LABELS
