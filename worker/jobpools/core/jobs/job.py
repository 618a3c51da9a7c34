"""The states of a job, how an attempt can end (Outcome), and what is then done with the job (Settlement).

queued ──claim──▶ running ──▶ completed
  ▲  ▲               │ ├────▶ dead        (crashed too often, no attempt left, or not retried)
  │  └─ hand back ───┘ └────▶ cancelled
  └── due ── scheduled ◀──retry, delay, at     (a queued job can be rescheduled, a scheduled one queued at once)
"""

from dataclasses import dataclass, field
from enum import StrEnum


class Priority(StrEnum):
    """A job's priority: each queue has one list of waiting jobs for each of the three."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    @property
    def number(self) -> int:
        """Return the priority as a number: high 100, normal 50, low 10."""
        return {"high": 100, "normal": 50, "low": 10}[self.value]


class JobState(StrEnum):
    """State of a job. COMPLETED, DEAD and CANCELLED are final."""

    QUEUED = "queued"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    COMPLETED = "completed"
    DEAD = "dead"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Return whether the state is final."""
        return self in (JobState.COMPLETED, JobState.DEAD, JobState.CANCELLED)


TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.SCHEDULED, JobState.CANCELLED, JobState.DEAD}),
    JobState.SCHEDULED: frozenset({JobState.QUEUED, JobState.RUNNING, JobState.CANCELLED}),
    JobState.RUNNING: frozenset(
        {JobState.COMPLETED, JobState.SCHEDULED, JobState.QUEUED, JobState.DEAD, JobState.CANCELLED}
    ),
    JobState.COMPLETED: frozenset(),
    JobState.DEAD: frozenset({JobState.QUEUED, JobState.RUNNING}),
    JobState.CANCELLED: frozenset(),
}
"""The states that may follow each state; docs/protocol.md says which script makes each change. Tests in tests/store
check every script against it.

`queued → scheduled` is a job that is rescheduled; `queued → dead` is a job that a full queue drops; `dead → queued` is
a replay; `dead → running` and `scheduled → running` are a worker that was suspended and resumes with an expired lease.
"""


class OutcomeKind(StrEnum):
    """The ways in which an attempt ends without completing. A completed attempt's result goes to the store."""

    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"
    """The worker crashed: the lease expired, or the pod is gone."""
    INTERRUPTED = "interrupted"
    """The worker is shutting down and hands the job back; the attempt does not count."""
    UNRUNNABLE = "unrunnable"
    """This worker cannot run the job (unknown handler, newer envelope); the attempt does not count."""
    CANCELLED = "cancelled"
    SNOOZED = "snoozed"
    """The handler raised Snooze; the attempt does not count."""
    EXPIRED = "expired"
    """The job was claimed after the time at which it expires. It was not started."""


class DeadReason(StrEnum):
    """The reasons for which a job is dead: the field `reason` of its history."""

    ATTEMPTS = "attempts"
    """Its last attempt failed: none was left, or its retry policy does not retry the error."""
    CRASHED = "crashed"
    """Its workers crashed `max_crashes` times."""
    TIMEOUT = "timeout"
    """Its last attempt exceeded the timeout."""
    OVERFLOW = "overflow"
    """Its queue was full, and the queue's overflow policy dropped it."""
    INVALID = "invalid"
    """Its arguments do not fit its handler, or its result cannot be JSON or is too large."""
    EXPIRED = "expired"
    """It was not started within its `expires`."""
    DISCARDED = "discarded"
    """Its handler raised Discard."""


class NotRetryable(StrEnum):
    """The reasons for which a failed attempt is not retried, whatever its policy is."""

    DISCARDED = "discarded"
    """The handler raised Discard."""
    ARGUMENTS = "arguments"
    """The arguments do not fit the handler, and another attempt would have the same."""
    RESULT = "result"
    """The handler returned, and its result cannot be JSON or is too large."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one attempt that did not complete."""

    kind: OutcomeKind
    error: str = ""
    """Error type: the exception's class, as in `ValueError` or `httpx.ConnectError`, or a name such as `WorkerLost`."""
    message: str = ""
    """Error message, in one line."""
    traceback: str = ""
    error_types: tuple[str, ...] = ()
    """Names of the exception's class and of its base classes, with and without their module: `Retry.on` is matched
    against them."""
    delay: float = 0.0
    """INTERRUPTED and SNOOZED: seconds until the job may be claimed again; 0: at once."""
    retry_after: float | None = None
    """FAILED: seconds until the next attempt, if the handler determined them; None: the policy decides."""
    not_retryable: NotRetryable | None = None
    """FAILED: why the attempt is not retried; None: the policy decides."""
    exception: BaseException | None = None
    """The exception, for a retry function; None if the attempt ended in another process."""


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """An attempt that ended without completing, as the history of its job keeps it."""

    attempt: int
    """Attempt number, starting at 1; crashed attempts count."""
    outcome: OutcomeKind
    at: float
    """When the attempt ended by the server's clock, seconds since the epoch."""
    error: str = ""
    message: str = ""
    traceback: str = ""
    delay: float | None = None
    """Seconds until the next attempt; None: no attempt follows."""
    worker: str = ""
    fence: str = ""
    """CRASHED: the fence of the expired lease. Its worker may only have been suspended, and resume with this fence."""


@dataclass(frozen=True, slots=True)
class History:
    """The failed and crashed attempts of a job; empty for a job that never failed."""

    attempts: int = 0
    """Number of failed and timed-out attempts, which `Retry.max_attempts` limits."""
    crashes: int = 0
    """Number of attempts whose worker crashed, which `max_crashes` limits."""
    entries: tuple[AttemptRecord, ...] = ()
    """The latest HISTORY_LIMIT attempts, oldest first."""
    note: str = ""
    """Why a due job is not run, as in `no worker has registered "mail.send"`, or why it is dead, as in
    `RetriesUsedUp: attempt 3 of 3 failed (ValueError: no such address); no attempt is left`."""
    reason: DeadReason | None = None
    """Why the job is dead. None: it is not dead, or an older jobpools wrote the history."""
    snoozes: int = 0
    """Number of attempts that ended with Snooze."""
    replays: int = 0
    """Number of times that the job was put back from the dead-letter queue. Such a job does not expire any more."""


HISTORY_LIMIT = 20
"""Maximum number of attempts in a history; older ones are dropped."""
HISTORY_BYTES = 16 * 1024
"""Maximum bytes of an encoded history. Where attempts have long tracebacks it is the tighter limit: tracebacks of older
attempts are dropped first, then all texts are cut, then the oldest attempts are dropped."""


class Disposition(StrEnum):
    """The next place of a job after an attempt that did not complete."""

    RETRY = "retry"
    """To `scheduled`, until `Settlement.delay` has passed."""
    RETURN = "return"
    """To the head of its ready list, or to `scheduled` if `delay` is set; the attempt does not count."""
    DEAD = "dead"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Settlement:
    """The change of a job after an attempt: `core.jobs.retry.settle` decides it, `step.lua` applies it."""

    disposition: Disposition
    delay: float | None = None
    """RETRY and RETURN: seconds, by the server's clock, until the job may run again; None: at once."""
    history: History = field(default_factory=History)
    """The history, this attempt included."""
