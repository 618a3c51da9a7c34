"""The times for which jobs waited until they were claimed, measured for some jobs of each claim."""

from bisect import bisect_left

from jobpools.core.histogram import BOUNDS, no_counts
from jobpools.store.step import StepReply

SAMPLES = 4
"""Maximum number of jobs of one claim whose wait is computed. Each represents its neighbours in the claim, which
were ready at nearly the same time. Computing every wait would take 2 % of the time of a short job."""


class Waits:
    """A histogram of the waits of one queue's jobs, from the time at which they became ready to their claim."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = no_counts()
        self.seconds = 0.0

    def observe(self, reply: StepReply) -> None:
        """Count the jobs that a step claimed."""
        ids, since = reply.ids, reply.since
        width = -(-len(ids) // SAMPLES)
        for first in range(0, len(ids), width):
            number = min(width, len(ids) - first)
            at = first + number // 2
            ready = _ready_at(ids[at], since[at] if since else None)
            if ready is not None:
                wait = max(0.0, reply.now - ready)
                self.buckets[bisect_left(BOUNDS, wait)] += number
                self.seconds += wait * number


def _ready_at(job_id: bytes, since: bytes | None) -> float | None:
    """Return since when a job was ready, seconds since the epoch: as stored, else by its UUIDv7; None: unknown."""
    try:
        return (float(since) if since else int(job_id[:8] + job_id[9:13], 16)) / 1000
    except ValueError:
        return None
