"""The number of jobs in the next read, from the bytes and seconds of the one before. Long reads block the server."""

FIRST_READ, LARGEST_READ = 50, 1000
"""Number of jobs in the first read, which is small because a payload may be 1 MiB; maximum number in later reads."""
SCAN_COUNT = 1000
"""Number of ids that one command of a snapshot reads: the ids alone, whose size does not vary."""
READ_BYTES = 1_000_000
"""Approximate maximum of bytes in one read."""
READ_SECONDS = 0.01
"""Seconds that one read should take, its reply and the decoding included: a tenth of it is the server's."""
SLOW_READ = 200
"""Number of jobs that a read may have however long it takes: a distant server is slow to reply, but not busy."""


def next_size(size: int, read: int, seconds: float, largest: int = LARGEST_READ) -> int:
    """Return how many jobs to read next, after a read of `size` jobs that had `read` bytes and took `seconds`."""
    by_bytes = READ_BYTES * size // max(1, read)
    by_time = max(SLOW_READ, int(READ_SECONDS * size / max(seconds, 1e-6)))
    return max(1, min(largest, 4 * size, by_bytes, by_time))
