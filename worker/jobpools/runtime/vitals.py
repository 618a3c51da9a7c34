"""Memory that a worker shares with its supervisor: what the worker is doing, readable while it can say nothing.

A handler that holds the GIL stops every thread of the worker, and a worker that was killed answers no more. Its
supervisor reads these words instead. All times are those of the monotonic clock, which all processes share.
"""

import mmap
from typing import NamedTuple

ROWS = 2048
"""Maximum number of started attempts that are written down; what is beyond it is not known to have started."""
_BEAT, _WATCHED, _PROGRESS, _OUTAGE, _STOPPING, _CONFESSED, _LOOP_THREAD = range(1, 8)
_FIRST_ROW = 16
_WORD = 8


class Seen(NamedTuple):
    """A snapshot of the facts by which probes and the supervisor judge a worker."""

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


class Started(NamedTuple):
    """An attempt that has started and not ended."""

    thread: int
    """The thread of a plain function; 0: it runs in the event loop's."""
    handler: int
    """Which handler: its number in the worker's hello."""


class Vitals:
    """Shared memory that says what one worker is doing."""

    __slots__ = ("_free", "_memory", "_numbers", "handlers", "keys", "threads", "times", "until")

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, (_FIRST_ROW + 4 * ROWS) * _WORD)
        words = memoryview(self._memory)
        self.times = words.cast("d")
        self._numbers = words.cast("q")
        blocks = [self._numbers[_FIRST_ROW + n * ROWS : _FIRST_ROW + (n + 1) * ROWS] for n in range(4)]
        self.keys, _, self.threads, self.handlers = blocks
        """By row: the key of the attempt that has started; 0: none."""
        self.until = self.times[_FIRST_ROW + ROWS : _FIRST_ROW + 2 * ROWS]
        """By row: the attempt's deadline."""
        self._free = list(range(ROWS - 1, 0, -1))

    # Written by the worker

    def begin(self, lease: str, deadline: float, handler: int) -> int:
        """Write down that an attempt starts; returns its row. Row 0: there are too many."""
        if not self._free:
            return 0
        row = self._free.pop()
        self.until[row] = deadline
        self.handlers[row] = handler
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

    def thread_begins(self, row: int, thread: int) -> None:
        """Write down which thread runs the attempt of this row."""
        if row:
            self.threads[row] = thread

    def thread_ends(self, row: int, thread: int) -> None:
        """Write down that the thread has ended its call; the row may be another attempt's by now."""
        if row and self.threads[row] == thread:
            self.threads[row] = 0

    def confess(self, lease: str) -> None:
        """Write down that this attempt is about to end the process."""
        self._numbers[_CONFESSED] = key(lease)

    def loop_runs_in(self, thread: int) -> None:
        """Write down which thread runs the event loop."""
        self._numbers[_LOOP_THREAD] = thread

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

    def started(self) -> dict[int, Started]:
        """Return the attempts that have started and not ended, by their keys."""
        rows = [(row, each) for row, each in enumerate(self.keys) if each]
        return {each: Started(self.threads[row], self.handlers[row]) for row, each in rows}

    @property
    def confessed(self) -> int:
        """The key of the attempt that was about to end the process; 0: none was."""
        return self._numbers[_CONFESSED]

    @property
    def loop_thread(self) -> int:
        """The thread that runs the event loop."""
        return self._numbers[_LOOP_THREAD]


def key(lease: str) -> int:
    """Return a number that stands for a lease, the same in a worker and in the processes that its supervisor forks.

    Python draws the secret of `hash` once for a process and its forks.
    """
    return hash(lease) or 1
