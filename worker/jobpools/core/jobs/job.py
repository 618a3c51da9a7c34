"""A job's life: its states, how an attempt can end (Outcome) and what is then done with the job (Settlement).

queued ──claim──▶ running ──▶ completed
  ▲  ▲               │ ├────▶ dead        (poison, retries used up, or never retried)
  │  └─ hand back ───┘ └────▶ cancelled
  └── due ── scheduled ◀──retry, delay, at
"""

from dataclasses import dataclass, field
from enum import StrEnum


class Priority(StrEnum):
    """Which of a queue's three lists a job waits in."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class JobState(StrEnum):
    """Where a job is. The last three are ends."""

    QUEUED = "queued"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    COMPLETED = "completed"
    DEAD = "dead"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Nothing happens to the job by itself any more."""
        return self in (JobState.COMPLETED, JobState.DEAD, JobState.CANCELLED)


TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELLED}),
    JobState.SCHEDULED: frozenset({JobState.QUEUED, JobState.CANCELLED}),
    JobState.RUNNING: frozenset(
        {JobState.COMPLETED, JobState.SCHEDULED, JobState.QUEUED, JobState.DEAD, JobState.CANCELLED}
    ),
    JobState.COMPLETED: frozenset(),
    JobState.DEAD: frozenset({JobState.QUEUED, JobState.RUNNING}),
    JobState.CANCELLED: frozenset(),
}
"""What may follow what; `dead → queued` is a replay, `dead → running` a worker that comes back from a standstill."""


class OutcomeKind(StrEnum):
    """How an attempt ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"
    """The worker vanished: its lease ran out, or its pod is gone."""
    INTERRUPTED = "interrupted"
    """The worker is shutting down and hands the job back: no attempt is charged."""
    UNRUNNABLE = "unrunnable"
    """This worker cannot run it (no such job registered, newer envelope): left for another, no attempt is charged."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended. A success carries nothing else here; its result goes straight to the store."""

    kind: OutcomeKind
    error: str = ""
    """The exception's class, as in `ValueError` or `httpx.ConnectError`, or what else to call it."""
    message: str = ""
    """One line."""
    traceback: str = ""
    error_types: tuple[str, ...] = ()
    """Names of the exception's class and of those it derives from, qualified and bare: `Retry.on` is matched against
    them."""
    delay: float = 0.0
    """INTERRUPTED: seconds for which it is left to others; 0: it may be claimed at once."""
    final: str = ""
    """Why another attempt would end the same, whatever the policy says; empty: it might not."""
    exception: BaseException | None = None
    """The exception itself, for a custom retry function; None once it has crossed a process border."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One finished attempt that did not complete, as the history keeps it."""

    attempt: int
    """The how manieth it was, from 1, crashes counted along."""
    outcome: OutcomeKind
    at: float
    """When it ended by the server's clock, seconds since the epoch."""
    error: str = ""
    message: str = ""
    traceback: str = ""
    delay: float | None = None
    """Seconds until the next attempt; None where there is none."""
    worker: str = ""
    fence: str = ""
    """CRASHED: the fence of the lease that expired. Its worker may live and come back with it."""


@dataclass(frozen=True, slots=True)
class History:
    """What a job went through before the attempt in hand. A job that never failed has an empty one."""

    attempts: int = 0
    """Failed and timed-out attempts: they count against `Retry.max_attempts`."""
    crashes: int = 0
    """Attempts whose worker vanished; counted apart, against `max_crashes`."""
    entries: tuple[Attempt, ...] = ()
    """The latest HISTORY_LIMIT of them, oldest first."""
    note: str = ""
    """Why the job waits though it is due, as in `no worker has registered "mail.send"`, or why it is dead, as in
    `RetriesUsedUp: attempt 3 of 3 failed (ValueError: no such address); no attempt is left`."""


HISTORY_LIMIT = 20


class Disposition(StrEnum):
    """Where a settled job goes."""

    COMPLETE = "complete"
    RETRY = "retry"
    """To `scheduled`, for `Settlement.delay`."""
    RETURN = "return"
    """To the head of its ready list, or to `scheduled` when `delay` is set; nothing is charged."""
    DEAD = "dead"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Settlement:
    """What is done with a job after an attempt: decided by `core.retry.settle`, carried out by `step.lua`."""

    disposition: Disposition
    delay: float | None = None
    """RETRY and RETURN: seconds, by the server's clock, until it may run again; None is at once."""
    history: History = field(default_factory=History)
    """The history with this attempt in it."""
