"""Find the job that blocks the event loop, and extend the deadlines of the other jobs by that time.

A handler that blocks in `async def` stops every job of its worker. A thread looks at the stack of the event loop's
thread while the loop is late: the code that is running there belongs to an attempt, which its context names.
"""

import logging
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import FrameType

from jobpools.core.jobs.job import Outcome
from jobpools.core.text.descriptions import safely
from jobpools.core.text.durations import format_duration
from jobpools.runtime import current, outcomes
from jobpools.runtime.attempt import Run

LOOK_INTERVAL = 0.1
"""Seconds between two checks of the event loop's last beat."""
LOOKED_AT_AFTER = 0.2
"""Seconds without a beat after which the stack is sampled: sooner than the log reports, so that the job is known."""
FORGIVEN_FROM = 0.02
"""Seconds by which the event loop must be late for deadlines to move: less is the work of many quick jobs."""
TOLD_AFTER = 0.5
"""Seconds by which the event loop must have been late for the log to name the job that blocked it."""
TOLD_MEANWHILE = 10.0
"""Seconds after which the log names a job that still blocks the event loop."""
NAMES = 3
"""Maximum running jobs that the log names if none of them was seen to block the event loop."""
REMEDY = "make the handler a plain def, or call the blocking code with asyncio.to_thread"

_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_UNSEEN = (
    "the event loop was late by %s, and no job was seen to block it: the process was stopped, the machine was busy, "
    "or C code held the GIL; running: %s"
)

log = logging.getLogger("jobpools.worker")


@dataclass(slots=True)
class Block:
    """The time for which an attempt blocked the event loop, and its last known place in the code."""

    seconds: float
    place: str

    def __add__(self, before: "Block | None") -> "Block":
        """Return both as one, at the later place."""
        return self if before is None else Block(self.seconds + before.seconds, self.place)

    def __str__(self) -> str:
        """Return it as part of a sentence."""
        return f"it blocked the event loop for {format_duration(self.seconds)} at {self.place}; {REMEDY}"


Blocks = dict[Run, Block]


class Monitor:
    """The thread that samples the event loop's stack while the loop is late, and its findings."""

    def __init__(self, beat: Callable[[], float], interval: float, clock: Callable[[], float]) -> None:
        """`beat`: when the event loop last came round; it does so every `interval` seconds."""
        self.blocked: Blocks = {}
        """Running attempts that have blocked the event loop, up to its last beat."""
        self._beat = beat
        self._interval = interval
        self._clock = clock
        self._watched = 0
        self._seen: Blocks = {}
        """Attempts that have blocked the loop since its last beat, as far as is known."""
        self._last = 0.0
        """Up to when the time is accounted for."""
        self._told: Run | None = None
        self._stop = threading.Event()

    def start(self) -> None:
        """Begin to watch the event loop of this thread."""
        self._watched = threading.get_ident()
        threading.Thread(target=self._watch, name="jobpools-monitor", daemon=True).start()

    def stop(self) -> None:
        """Stop; the thread ends by itself within LOOK_INTERVAL."""
        self._stop.set()

    def beaten(self, now: float, late: float, running: set[Run]) -> None:
        """Handle a beat, `late` seconds late: extend the deadlines of other attempts, log the one that blocked."""
        if late < FORGIVEN_FROM:
            return
        blocks, self._seen = self._seen, {}
        if len(blocks) == 1:
            for run, block in blocks.items():
                block.seconds = now - max(self._beat(), run.started)
        forgive(running, late, blocks, now)
        tell(blocks, late, running)
        for run in running & blocks.keys():
            self.blocked[run] = blocks[run] + self.blocked.get(run)

    def described(self, run: Run, outcome: Outcome) -> Outcome:
        """Return the outcome with how the attempt blocked the event loop, if it did."""
        block = self._seen.get(run)
        if block is not None:
            block.seconds = self._clock() - max(self._beat(), run.started)
            block = block + self.blocked.get(run)
        else:
            block = self.blocked.get(run)
        if block is None or block.seconds < TOLD_AFTER:
            return outcome
        return replace(outcome, message=f"{outcome.message}; {block}")

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_INTERVAL):
            safely(self.look, None)

    def look(self) -> None:
        """If the loop is late, sample its stack, and charge the time since the last sample to the attempt there."""
        now, beat = self._clock(), self._beat()
        if now - beat < self._interval + LOOKED_AT_AFTER:
            return
        frame = sys._current_frames().get(self._watched)  # noqa: SLF001  # the documented way to see another thread's
        run = owner(frame)
        if run is None or frame is None:
            return
        since, self._last = max(beat, self._last, run.started), now
        block = self._seen.setdefault(run, Block(0.0, ""))
        block.seconds += now - since
        block.place = place(frame)
        if block.seconds > TOLD_MEANWHILE and self._told is not run:
            self._told = run
            log.warning("%s %s: %s; it still does", run.entry.name, run.envelope.id, block)


def owner(frame: FrameType | None) -> Run | None:
    """Return the attempt whose task or callback this stack of the event loop's thread runs; None: no job's."""
    while frame is not None and frame.f_code is not current.RUN_HANDLE:
        frame = frame.f_back
    return None if frame is None else current.attempt_of(frame.f_locals["self"])


def place(frame: FrameType) -> str:
    """Return `file:line (function)` of the innermost frame outside of libraries, or of the innermost frame."""
    each: FrameType | None = frame
    while each is not None and _is_library(each.f_code.co_filename):
        each = each.f_back
    found = each or frame
    return f"{found.f_code.co_filename}:{found.f_lineno} ({found.f_code.co_name})"


def _is_library(file: str) -> bool:
    return file.startswith((*_LIBRARIES, "<")) or "site-packages" in file or outcomes.is_plumbing(file)


def forgive(runs: Iterable[Run], seconds: float, blocks: Mapping[Run, Block], now: float) -> None:
    """Extend the deadlines by the time for which the loop was late, less the time that an attempt itself blocked it."""
    for run in runs:
        if run.started:
            own = blocks[run].seconds if run in blocks else 0.0
            run.deadline += max(0.0, min(seconds, now - run.started) - own)


def tell(blocks: Mapping[Run, Block], seconds: float, runs: Iterable[Run]) -> None:
    """Log which job blocked the event loop, for how long and where, and the remedy."""
    if seconds < TOLD_AFTER:
        return
    for run, block in blocks.items():
        safely(partial(log.warning, "%s %s: %s", run.entry.name, run.envelope.id, block), None)
    if not blocks:
        names = [f"{run.entry.name} {run.envelope.id}" for run in runs]
        more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
        known = ", ".join(names[:NAMES]) + more or "nothing"
        safely(lambda: log.warning(_UNSEEN, format_duration(seconds), known), None)
