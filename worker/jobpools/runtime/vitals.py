"""Memory that a worker shares with its supervisor: what the worker is doing, readable while it can say nothing.

A handler that holds the GIL stops every thread of the worker, and a worker that was killed answers no more. Its
supervisor reads these words instead. All times are those of the monotonic clock, which all processes share.
"""

import mmap
from typing import NamedTuple

ROWS = 2048
"""Maximum number of started attempts that are written down; what is beyond it is not known to have started."""
_BEAT, _WATCHED, _PROGRESS, _OUTAGE, _STOPPING = range(1, 6)
_FIRST_ROW = 16
_WORD = 8


class Seen(NamedTuple):
    """What a look at a worker's memory shows."""

    beat: float
    """When the thread that renews the leases last moved; 0: it has not started."""
    watched: float
    """When the event loop last came round to its watchdog."""
    progress: float
    """When the dispatcher last came round."""
    outage: bool
    """Redis is known to be unreachable."""
    stopping: bool
    """The worker drains."""
    deadline: float
    """The latest deadline of the attempts that have started; 0: none has."""


class Vitals:
    """What one worker is doing now."""

    __slots__ = ("_free", "_memory", "keys", "times", "until")

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, (_FIRST_ROW + 2 * ROWS) * _WORD)
        words = memoryview(self._memory)
        self.times = words.cast("d")
        self.keys = words.cast("q")[_FIRST_ROW : _FIRST_ROW + ROWS]
        """By row: the key of the attempt that has started; 0: none."""
        self.until = self.times[_FIRST_ROW + ROWS :]
        """By row: the attempt's deadline."""
        self._free = list(range(ROWS - 1, 0, -1))

    # Written by the worker

    def begin(self, lease: str, deadline: float) -> int:
        """Write down that an attempt starts; returns its row. Row 0: there are too many."""
        if not self._free:
            return 0
        row = self._free.pop()
        self.until[row] = deadline
        self.keys[row] = key(lease)
        return row

    def rename(self, row: int, lease: str) -> None:
        """Write down that an attempt goes on under another lease."""
        if row:
            self.keys[row] = key(lease)

    def end(self, row: int) -> None:
        """Write down that the attempt of this row has ended."""
        if row:
            self.keys[row] = 0
            self._free.append(row)

    def beat(self, now: float) -> None:
        """Write down that the lease thread moves."""
        self.times[_BEAT] = now

    def publish(self, seen: Seen) -> None:
        """Write down what the event loop knows; beat and deadline are written where they change."""
        times = self.times
        times[_WATCHED], times[_PROGRESS] = seen.watched, seen.progress
        times[_OUTAGE], times[_STOPPING] = seen.outage, seen.stopping

    # Read by the supervisor and the probes

    def seen(self) -> Seen:
        """Return what the worker wrote."""
        times, until = self.times, self.until
        deadline = max((until[row] for row, each in enumerate(self.keys) if each), default=0.0)
        return Seen(
            times[_BEAT], times[_WATCHED], times[_PROGRESS], bool(times[_OUTAGE]), bool(times[_STOPPING]), deadline
        )

    def started(self) -> dict[int, int]:
        """Return the keys of the attempts that have started and not ended, and their rows."""
        return {each: row for row, each in enumerate(self.keys) if each}


def key(lease: str) -> int:
    """Return a number that stands for a lease, the same in a worker and in the processes that its supervisor forks.

    Python draws the secret of `hash` once for a process and its forks.
    """
    return hash(lease) or 1
