"""The number of jobs of the next read, from the bytes and seconds of the one before. Long reads block the server."""

FIRST_READ, LARGEST_READ = 50, 1000
"""Number of jobs in the first read, which is small because a payload may be 1 MiB; and in the largest."""
READ_BYTES = 1_000_000
"""Approximate maximum of bytes in one read."""
READ_SECONDS = 0.01
"""Seconds that one read should take, its reply and the decoding included: a tenth of it is the server's."""
SLOW_READ = 200
"""Number of jobs that a read takes however long it lasts: a distant server replies late, and is not blocked by that."""


def next_size(size: int, read: int, seconds: float) -> int:
    """Return the size of the next read, after one of `size` jobs that brought `read` bytes and took `seconds`."""
    by_bytes = READ_BYTES * size // max(1, read)
    by_time = max(SLOW_READ, int(READ_SECONDS * size / max(seconds, 1e-6)))
    return max(1, min(LARGEST_READ, 4 * size, by_bytes, by_time))
