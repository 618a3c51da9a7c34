"""Find the job that blocks the event loop, and extend the deadlines of the other jobs by that time.

A handler that blocks in `async def` stops every job of its worker. While the loop is late, a thread samples the stack
of the event loop's thread. The context of the task or callback that runs there names its attempt.
"""

import logging
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import FrameType

from jobpools.core.jobs.job import Outcome
from jobpools.core.text.durations import format_duration
from jobpools.core.text.error_text import safely
from jobpools.runtime import outcomes
from jobpools.runtime.attempt import Attempt
from jobpools.runtime.current_attempt import RUN_HANDLE, attempt_of

CHECK_INTERVAL = 0.1
"""Seconds between two checks whether the event loop is late."""
SAMPLED_AFTER = 0.3
"""Seconds since the loop's last turn after which its stack is sampled. A turn is due every 0.1 s (`watchdog.INTERVAL`).

This is less than `LOGGED_AFTER`, so that the job is known when the delay is logged.
"""
EXTENDED_FROM = 0.02
"""Minimum seconds by which the loop is late before deadlines are extended. Many quick jobs cause shorter delays."""
LOGGED_AFTER = 0.5
"""Minimum seconds by which the event loop was late before the log names the job that blocked it."""
LOGGED_WHILE_BLOCKED_AFTER = 10.0
"""Seconds after which the log names a job that still blocks the event loop."""
MAX_NAMES = 3
"""Maximum number of running jobs that the log names if none of them was seen to block the event loop."""
REMEDY = "make the handler a plain def, or call the blocking code with asyncio.to_thread"

_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_UNSEEN = (
    "the event loop was late by %s, and no job was seen to block it: the process was stopped, the machine was busy, "
    "or C code held the GIL; running: %s"
)

log = logging.getLogger("jobpools.worker")


@dataclass(slots=True)
class Block:
    """The time for which an attempt blocked the event loop, and where it was last seen in the code."""

    seconds: float
    location: str

    def __add__(self, before: "Block | None") -> "Block":
        """Return the sum, at the later location."""
        return self if before is None else Block(self.seconds + before.seconds, self.location)

    def __str__(self) -> str:
        """Return a clause for a log line."""
        return f"it blocked the event loop for {format_duration(self.seconds)} at {self.location}; {REMEDY}"


Blocks = dict[Attempt, Block]


class BlockingMonitor:
    """The thread that samples the event loop's stack while the loop is late, and its findings."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.last_turn = clock()
        """When the event loop last ran the watchdog."""
        self._blocked: Blocks = {}
        """Running attempts that have blocked the event loop, up to its last turn."""
        self._clock = clock
        self._thread = 0
        """The thread that runs the event loop."""
        self._seen: Blocks = {}
        """Attempts that have blocked the loop since its last turn, as far as is known."""
        self._charged_until = 0.0
        """Until when the time is already charged to an attempt."""
        self._logged: Attempt | None = None
        """The latest attempt that was logged while it blocked."""
        self._stop = threading.Event()

    def start(self) -> None:
        """Start to watch the event loop of the calling thread."""
        self._thread = threading.get_ident()
        self.last_turn = self._clock()
        threading.Thread(target=self._watch, name="jobpools-monitor", daemon=True).start()

    def stop(self) -> None:
        """Stop watching: the thread ends within CHECK_INTERVAL."""
        self._stop.set()

    def record_turn(self, now: float, late: float, running: set[Attempt]) -> None:
        """Record that the loop ran, `late` seconds late: extend deadlines, and log the attempt that blocked it."""
        if self._blocked:
            self._blocked = {attempt: block for attempt, block in self._blocked.items() if attempt in running}
        if late >= EXTENDED_FROM:
            self._account(now, late, running)
        self.last_turn = now

    def _account(self, now: float, late: float, running: set[Attempt]) -> None:
        blocks, self._seen = self._seen, {}
        if len(blocks) == 1:
            for attempt, block in blocks.items():
                block.seconds = now - max(self.last_turn, attempt.started_at)
        extend_deadlines(running, late, blocks, now)
        report(blocks, late, running)
        for attempt in running & blocks.keys():
            self._blocked[attempt] = blocks[attempt] + self._blocked.get(attempt)

    def with_note(self, attempt: Attempt, outcome: Outcome) -> Outcome:
        """Return the outcome, with a note if the attempt blocked the event loop."""
        block = self._seen.get(attempt)
        if block is not None:
            block.seconds = self._clock() - max(self.last_turn, attempt.started_at)
            block = block + self._blocked.get(attempt)
        else:
            block = self._blocked.get(attempt)
        if block is None or block.seconds < LOGGED_AFTER:
            return outcome
        return replace(outcome, message=f"{outcome.message}; {block}")

    def _watch(self) -> None:
        while not self._stop.wait(CHECK_INTERVAL):
            safely(self.sample, None)

    def sample(self) -> None:
        """Charge the time since the last sample to the attempt that the loop's stack shows, if the loop is late."""
        now, last_turn = self._clock(), self.last_turn
        if now - last_turn < SAMPLED_AFTER:
            return
        # Documented, and the only way to see another thread's frame.
        frame = sys._current_frames().get(self._thread)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # as above
        attempt = attempt_of_stack(frame)
        if attempt is None or frame is None:
            return
        since, self._charged_until = max(last_turn, self._charged_until, attempt.started_at), now
        block = self._seen.setdefault(attempt, Block(0.0, ""))
        block.seconds += now - since
        block.location = location_of_stack(frame)
        if block.seconds > LOGGED_WHILE_BLOCKED_AFTER and self._logged is not attempt:
            self._logged = attempt
            log.warning("%s: %s; it still blocks", attempt, block)


def attempt_of_stack(frame: FrameType | None) -> Attempt | None:
    """Return the attempt whose task or callback the event loop runs in this stack; None: it runs no code of a job."""
    while frame is not None and frame.f_code is not RUN_HANDLE:
        frame = frame.f_back
    return None if frame is None else attempt_of(frame.f_locals["self"])


def location_of_stack(frame: FrameType) -> str:
    """Return `file:line (function)` of the innermost frame outside of libraries, or of the innermost frame."""
    each: FrameType | None = frame
    while each is not None and _is_library(each.f_code.co_filename):
        each = each.f_back
    found = each or frame
    return f"{found.f_code.co_filename}:{found.f_lineno} ({found.f_code.co_name})"


def _is_library(file: str) -> bool:
    return file.startswith((*_LIBRARIES, "<")) or "site-packages" in file or outcomes.is_plumbing(file)


def extend_deadlines(attempts: Iterable[Attempt], seconds: float, blocks: Mapping[Attempt, Block], now: float) -> None:
    """Extend the deadlines by the time for which the loop was late, less the time that an attempt itself blocked it."""
    for attempt in attempts:
        if attempt.started_at:
            own = blocks[attempt].seconds if attempt in blocks else 0.0
            extension = max(0.0, min(seconds, now - attempt.started_at) - own)
            attempt.deadline += extension
            attempt.abandon_at += extension


def report(blocks: Mapping[Attempt, Block], seconds: float, attempts: Iterable[Attempt]) -> None:
    """Log which job blocked the event loop, for how long and where, and the remedy."""
    if seconds < LOGGED_AFTER:
        return
    for attempt, block in blocks.items():
        safely(partial(log.warning, "%s: %s", attempt, block), None)
    if not blocks:
        names = [str(attempt) for attempt in attempts]
        more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
        known = ", ".join(names[:MAX_NAMES]) + more or "nothing"
        safely(lambda: log.warning(_UNSEEN, format_duration(seconds), known), None)
