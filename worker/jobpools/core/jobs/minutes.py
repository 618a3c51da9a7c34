"""What happened in a queue minute by minute, and summaries of several minutes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Final

from jobpools.core.histogram import Histogram, merged

KEPT: Final = 1440
"""Number of minutes of which a queue keeps a record: 24 hours. It is MINUTES of `measure.lua`."""
QUANTILES: Final = (0.5, 0.95, 0.99)
"""The quantiles that are shown."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of jobs by what happened to them; `failed` and `crashed` count attempts."""

    enqueued: int = 0
    completed: int = 0
    failed: int = 0
    """Attempts that failed or timed out."""
    crashed: int = 0
    """Attempts whose worker crashed."""
    dead: int = 0
    cancelled: int = 0
    dropped: int = 0
    """Dead letters that were removed because the queue held more than it keeps."""
    overflowed: int = 0
    """Jobs that became dead letters because the queue was full."""


@dataclass(frozen=True, slots=True)
class States:
    """The highest number of jobs that was seen in each state."""

    queued: int = 0
    scheduled: int = 0
    running: int = 0
    dead: int = 0


@dataclass(frozen=True, slots=True)
class Minute:
    """The record of one minute of one queue."""

    minute: int
    """Minutes since the epoch, by the server's clock."""
    counts: Counts
    states: States
    busy: float
    """Seconds for which slots ran jobs of this queue, all workers together."""
    slots: float
    """Seconds for which slots could have run jobs of this queue."""
    waiting: Histogram
    """From the time at which a job became ready to its claim."""
    running: Histogram
    """Durations of the attempts that ended."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary of the minutes from `start` on. Without any record, the counts are 0 and the other figures unknown."""

    start: float
    """Seconds since the epoch."""
    seconds: float
    """Length of the time that it summarizes."""
    recorded: int
    """Number of minutes that have a record."""
    counts: Counts
    states: States | None
    busy: float
    slots: float
    waiting: Histogram
    running: Histogram

    @property
    def utilisation(self) -> float | None:
        """Share of the slots' time that was used for jobs of this queue; None: no worker reported."""
        return self.busy / self.slots if self.slots else None

    @property
    def failure_rate(self) -> float | None:
        """Share of the attempts that failed, timed out or crashed; None: none ended."""
        bad = self.counts.failed + self.counts.crashed
        return bad / (bad + self.counts.completed) if bad + self.counts.completed else None

    @property
    def rate(self) -> float:
        """Completed jobs per second."""
        return self.counts.completed / self.seconds


def summarize(minutes: Iterable[Minute], start: int, end: int, now: float) -> Summary:
    """Return the summary of the records from minute `start` to before minute `end`.

    It ends at `now` if that is earlier, because the current minute is not over.
    """
    found = [each for each in minutes if start <= each.minute < end]
    return Summary(
        start * 60.0,
        max(1.0, min(end * 60.0, now) - start * 60.0),
        len(found),
        Counts(*(sum(getattr(each.counts, name.name) for each in found) for name in fields(Counts))),
        States(*(max(getattr(each.states, name.name) for each in found) for name in fields(States))) if found else None,
        sum(each.busy for each in found),
        sum(each.slots for each in found),
        merged(each.waiting for each in found),
        merged(each.running for each in found),
    )


def spans(minutes: Sequence[Minute], start: int, now: float, step: int) -> list[Summary]:
    """Return summaries of `step` minutes each, from the minute `start` to the one that contains `now`."""
    end = int(now // 60) + 1
    return [summarize(minutes, at, min(at + step, end), now) for at in range(start, end, step)]
