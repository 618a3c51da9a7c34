"""Job ids: UUIDv7, unless the caller chose one."""

import re
from functools import lru_cache

ID_LIMIT = 200
"""Maximum length of an id that the caller chose."""
_ID = re.compile(rf"[!-~]{{1,{ID_LIMIT}}}")
UUID_LENGTH = 36
_UUID_7 = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-7", re.ASCII | re.IGNORECASE)
"""How a UUIDv7 begins, as enqueue.lua reads it too."""
_VARIANT = dict(zip("0123456789abcdef", ("-8", "-9", "-a", "-b") * 4, strict=True))
"""By random digit: a hyphen, and the digit with the two bits of a UUID's variant in place of its first two."""
_LATEST_MS = 2**48 - 1
"""Latest time that an id can hold, in ms. A clock beyond it, or before 1970, must not break the id's form."""


def new_id(now: float, random: bytes) -> str:
    """Return the UUIDv7 (RFC 9562, section 5.7) of a time in seconds since the epoch and 10 random bytes."""
    # Assembled from digits, not from bits: that takes a third of the time, and every job needs an id.
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
        raise ValueError(f"{given!r} cannot be an id; use 1 to {ID_LIMIT} printable ASCII characters without blanks")
    return given


def id_time(job_id: str) -> float | None:
    """Return when a job with this id was enqueued, seconds since the epoch; None: the id is not a UUIDv7."""
    found = _UUID_7.match(job_id)
    return None if found is None or len(job_id) != UUID_LENGTH else int(found[1] + found[2], 16) / 1000
