"""Send jobs to their queues, and wait for room where a queue is full."""

import asyncio
import logging
import time
from collections.abc import Callable, Generator, Sequence

from jobpools.core.backoff import Backoff
from jobpools.core.text.durations import format_duration
from jobpools.core.text.plurals import count_of
from jobpools.errors import QueueFullError
from jobpools.store import draws
from jobpools.store.connection import Connection
from jobpools.store.enqueue import Batch, Receipt, Sending, batches, enqueue_batch, enqueue_batch_sync
from jobpools.store.sync_connection import SyncConnection

ROOM_CHECKS = Backoff(initial=0.01, maximum=0.25)
"""Delays between two tries to enqueue into a full queue."""
LOG_INTERVAL = 5.0
"""Seconds between two log lines of a client about one full queue."""

log = logging.getLogger("jobpools.client")

SendSteps = Generator[Batch | float, list[int], list[bool]]
"""Yields a batch to send, and receives its receipts; or yields seconds to wait. Returns whether each job is new."""


class FullQueueLog:
    """The log lines of a client about full queues: a web server may enqueue thousands of jobs a second into one."""

    def __init__(self) -> None:
        self._next_lines: dict[str, float] = {}
        """When the next line about a queue may be logged, in monotonic seconds."""
        self._dropped: dict[str, int] = {}
        """Dropped jobs of each queue that no line has counted."""

    def add_wait(self, queue: str, so_far: str, now: float) -> None:
        """Log that a call waits for room, unless a line about the queue is recent."""
        if self._is_due(queue, now):
            log.warning("queue %s is full; waiting for room%s", queue, so_far)

    def add_dropped(self, queue: str, number: int, now: float) -> None:
        """Log how many jobs were dropped since the last line, unless it is recent."""
        dropped = self._dropped[queue] = self._dropped.get(queue, 0) + number
        if self._is_due(queue, now):
            self._dropped[queue] = 0
            jobs_were = count_of(dropped, "job was", "jobs were")
            log.warning("queue %s is full: %s moved to its dead letters: its overflow is DropNewest", queue, jobs_were)

    def _is_due(self, queue: str, now: float) -> bool:
        if now < self._next_lines.get(queue, 0.0):
            return False
        self._next_lines[queue] = now + LOG_INTERVAL
        return True


async def send(
    connection: Connection, jobs: Sequence[Sending], block_timeout: float, lines: FullQueueLog
) -> list[bool]:
    """Enqueue jobs; return for each whether it is new. False: its id is known, and nothing was written.

    Up to BATCH jobs of one queue are sent at a time. A full queue accepts those that fit; the others are sent again.
    If the server becomes unreachable, the batches before are enqueued, and the latest one wholly or not at all. Sending
    the same jobs again enqueues what is missing.

    Args:
        connection: The queues' server.
        jobs: Validated and encoded jobs.
        block_timeout: Maximum seconds to wait for room in a full queue, from the latest job that was accepted.
        lines: The client's log lines about full queues.

    Raises:
        QueueFullError: No room appeared within `block_timeout`, or too many are scheduled. Other jobs may be enqueued.
        StoreError: Redis refused a command or is unreachable.
    """
    steps = send_steps(jobs, block_timeout, lines)
    try:
        step = next(steps)
        while True:
            if isinstance(step, Batch):
                step = steps.send(await enqueue_batch(connection, step))
            else:
                await asyncio.sleep(step)
                step = next(steps)
    except StopIteration as ended:
        return ended.value  # type: ignore[no-any-return]  # the value of SendSteps


def send_sync(
    connection: SyncConnection, jobs: Sequence[Sending], block_timeout: float, lines: FullQueueLog
) -> list[bool]:
    """Enqueue jobs as `send` does, from code without an event loop."""
    steps = send_steps(jobs, block_timeout, lines)
    try:
        step = next(steps)
        while True:
            if isinstance(step, Batch):
                step = steps.send(enqueue_batch_sync(connection, step))
            else:
                time.sleep(step)
                step = next(steps)
    except StopIteration as ended:
        return ended.value  # type: ignore[no-any-return]  # as above


def send_steps(
    jobs: Sequence[Sending], block_timeout: float, lines: FullQueueLog, clock: Callable[[], float] = time.monotonic
) -> SendSteps:
    """Decide what to send and when, as `SendSteps` describes it. `clock` returns monotonic seconds."""
    new, room = [False] * len(jobs), _Room(len(jobs), block_timeout, lines, clock)
    for queue, indices in batches(jobs):
        left: list[int] = indices
        while left:
            receipts = yield Batch(queue, [jobs[index] for index in left])
            for index, receipt in zip(left, receipts, strict=True):
                new[index] = receipt > 0
            if min(receipts) >= 0 and max(receipts) <= 1:
                room.add_accepted(len(receipts))
                break
            left = [index for index, receipt in zip(left, receipts, strict=True) if receipt < 0]
            room.add_receipts(queue, receipts)
            if left:
                yield room.seconds_to_wait(queue)
    return new


class _Room:
    """The wait of one call for room in full queues."""

    # Defaults of the class: most calls need no room, and one is made for each call.
    _accepted = 0
    _refusals = 0
    """Number of successive tries in which no job was accepted."""
    _since = 0.0
    """When the first of these tries was made, in monotonic seconds."""

    def __init__(self, total: int, timeout: float, lines: FullQueueLog, clock: Callable[[], float]) -> None:
        self._total = total
        self._lines = lines
        self._clock = clock
        self._timeout = timeout

    def add_accepted(self, number: int) -> None:
        self._accepted += number
        self._refusals = 0

    def add_receipts(self, queue: str, receipts: Sequence[int]) -> None:
        """Count receipts, some of which refuse or drop a job. Raises QueueFullError if too many are scheduled."""
        refused = sum(receipt < 0 for receipt in receipts)
        self._accepted += len(receipts) - refused
        self._refusals = self._refusals + 1 if refused == len(receipts) else 1
        if self._refusals == 1:
            self._since = self._clock()
        if dropped := sum(receipt == Receipt.DROPPED for receipt in receipts):
            self._lines.add_dropped(queue, dropped, self._clock())
        if Receipt.SCHEDULE_FULL in receipts:
            raise QueueFullError(
                f"queue {queue}: it has as many scheduled jobs as maxScheduled allows{self._so_far()}; raise the limit "
                f"with jobpools queues set {queue} --max-scheduled N"
            )

    def seconds_to_wait(self, queue: str) -> float:
        """Return the seconds to wait for room. Raises QueueFullError."""
        now = self._clock()
        if now - self._since >= self._timeout:
            raise QueueFullError(
                f"queue {queue}: it is full, and no room appeared within {format_duration(self._timeout)}"
                f"{self._so_far()}; run more workers, or raise the limit with jobpools queues set {queue} --max-depth N"
            )
        self._lines.add_wait(queue, self._so_far(), now)
        return min(ROOM_CHECKS.delay(self._refusals, draws.fraction()), self._since + self._timeout - now)

    def _so_far(self) -> str:
        return f" ({self._accepted} of {self._total} jobs are enqueued)" if self._total > 1 else ""
