"""Memory that a worker shares with its supervisor: what the worker is doing, readable while it cannot answer.

A handler that holds the GIL stops every thread of the worker, and a worker that was killed answers nothing. Its
supervisor reads these words instead. All times are those of the monotonic clock, which all processes share.
"""

import mmap
from typing import NamedTuple

ROWS = 2048
"""Maximum number of started attempts that are recorded; the supervisor does not see any others."""
_LEASE_THREAD, _EVENT_LOOP, _DISPATCHER, _OUTAGE, _DRAINING, _ENDED_BY, _LOOP_THREAD = range(1, 8)
_FIRST_ROW = 16
_WORD = 8


class Snapshot(NamedTuple):
    """The facts by which probes and the supervisor judge a worker."""

    lease_thread: float
    """When the thread that renews the leases last made progress; 0: it has not started."""
    event_loop: float
    """When the event loop last ran the watchdog."""
    dispatcher: float
    """When the dispatcher last began a turn."""
    outage: bool
    """Whether Redis is unreachable."""
    draining: bool
    """Whether the worker drains."""
    deadline: float
    """The latest deadline of the attempts that have started; 0: none has."""


class Started(NamedTuple):
    """An attempt that has started and not ended."""

    thread: int
    """The thread of a plain function; 0: it runs in the event loop's."""
    handler: int
    """The handler's index in the worker's description."""


class Vitals:
    """Shared memory that says what one worker is doing."""

    __slots__ = ("_deadlines", "_free", "_handlers", "_keys", "_memory", "_numbers", "_threads", "_times")

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, (_FIRST_ROW + 4 * ROWS) * _WORD)
        words = memoryview(self._memory)
        self._times = words.cast("d")
        self._numbers = words.cast("q")
        blocks = [self._numbers[_FIRST_ROW + n * ROWS : _FIRST_ROW + (n + 1) * ROWS] for n in range(4)]
        self._keys, _, self._threads, self._handlers = blocks
        """By row: the key of the attempt that has started; 0: none."""
        self._deadlines = self._times[_FIRST_ROW + ROWS : _FIRST_ROW + 2 * ROWS]
        """By row: the attempt's deadline."""
        self._free = list(range(ROWS - 1, 0, -1))

    # Written by the worker

    def begin(self, lease: str, deadline: float, handler: int) -> int:
        """Record that an attempt starts; return its row, 0 if there are too many."""
        if not self._free:
            return 0
        row = self._free.pop()
        self._deadlines[row] = deadline
        self._handlers[row] = handler
        self._keys[row] = hash(lease) or 1  # `key`, without the cost of a call for each attempt
        return row

    def rename(self, row: int, lease: str) -> None:
        """Record that an attempt continues under another lease."""
        if row:
            self._keys[row] = key(lease)

    def end(self, row: int) -> None:
        """Record that the attempt of this row has ended."""
        if row:
            self._keys[row] = 0
            self._free.append(row)

    def record_lease_thread(self, now: float) -> None:
        """Record that the lease thread made progress."""
        self._times[_LEASE_THREAD] = now

    def record_thread_start(self, row: int, thread: int) -> None:
        """Record which thread runs the attempt of this row."""
        if row:
            self._threads[row] = thread

    def record_thread_end(self, row: int, thread: int) -> None:
        """Record that the thread has ended its call; the row may be another attempt's by now."""
        if row and self._threads[row] == thread:
            self._threads[row] = 0

    def record_process_end(self, lease: str) -> None:
        """Record that this attempt is about to end the process."""
        self._numbers[_ENDED_BY] = key(lease)

    def record_loop_thread(self, thread: int) -> None:
        """Record which thread runs the event loop."""
        self._numbers[_LOOP_THREAD] = thread

    def publish(self, snapshot: Snapshot) -> None:
        """Record what the event loop knows. The lease thread and each attempt record their own changes."""
        times = self._times
        times[_EVENT_LOOP], times[_DISPATCHER] = snapshot.event_loop, snapshot.dispatcher
        times[_OUTAGE], times[_DRAINING] = snapshot.outage, snapshot.draining

    # Read by the supervisor and the probes

    def snapshot(self) -> Snapshot:
        """Return what the worker recorded."""
        times, deadlines = self._times, self._deadlines
        deadline = max((deadlines[row] for row, each in enumerate(self._keys) if each), default=0.0)
        return Snapshot(
            lease_thread=times[_LEASE_THREAD],
            event_loop=times[_EVENT_LOOP],
            dispatcher=times[_DISPATCHER],
            outage=bool(times[_OUTAGE]),
            draining=bool(times[_DRAINING]),
            deadline=deadline,
        )

    def started(self) -> dict[int, Started]:
        """Return the attempts that have started and not ended, by their keys."""
        rows = [(row, each) for row, each in enumerate(self._keys) if each]
        return {each: Started(self._threads[row], self._handlers[row]) for row, each in rows}

    @property
    def ended_by(self) -> int:
        """The key of the attempt that was about to end the process; 0: none was."""
        return self._numbers[_ENDED_BY]

    @property
    def loop_thread(self) -> int:
        """The thread that runs the event loop."""
        return self._numbers[_LOOP_THREAD]


def key(lease: str) -> int:
    """Return a number that stands for a lease, the same in a worker and in the processes that its supervisor forks.

    Python draws the secret of `hash` once for a process and its forks.
    """
    return hash(lease) or 1
