"""Instants as text."""

from datetime import UTC, datetime


def timestamp(seconds: float, timespec: str = "seconds") -> str:
    """Return seconds since the epoch as RFC 3339 in UTC, as in `2027-01-01T00:00:00Z`.

    Fractions below `timespec` (`seconds`, `milliseconds` or `microseconds`) are cut off.

    Raises:
        OverflowError, ValueError: The instant is before year 1 or after year 9999.
    """
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


def local_timestamp(seconds: float) -> str:
    """Return seconds since the epoch in this machine's time zone, as in `2027-01-01 01:00:00`."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
