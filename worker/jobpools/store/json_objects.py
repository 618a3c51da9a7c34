"""JSON objects that Redis holds for other versions and other languages to read."""

from typing import Any, cast

import msgspec

from jobpools.errors import StoreDataError


def decode_json(raw: bytes) -> dict[str, Any]:
    """Parse a JSON object. Raises StoreDataError."""
    try:
        return cast("dict[str, Any]", msgspec.json.decode(raw, type=dict))
    except msgspec.DecodeError as error:
        raise StoreDataError(f"not a JSON object: {error}") from error
