"""One execution of a job, from its claim to its settlement, and the handler that it calls."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from jobpools.core.jobs.job import History, Outcome
from jobpools.core.jobs.retry import Retry
from jobpools.runtime.metrics import Tally
from jobpools.runtime.outbox import Outbox
from jobpools.store.envelope import Envelope


@dataclass(slots=True, eq=False)
class BoundHandler:
    """A handler as this worker calls it. The pool's defaults apply where `@app.job` sets no value."""

    name: str
    number: int
    """Its index among the worker's handlers, by which the supervisor identifies it."""
    code: tuple[str, str]
    """File and name of its function, as a traceback names them; empty if it is not a Python function."""
    call: Callable[..., Any]
    """`call(context, arguments)` returns an awaitable."""
    plain: Callable[..., Any] | None
    """The handler's own coroutine function if it takes no context: called directly, without a Context made for it."""
    decode: Callable[[bytes], dict[str, Any]]
    encode_result: Callable[[Any], bytes]
    timeout: float
    """Maximum seconds of an attempt."""
    retry: Retry
    result_ttl: float
    """Seconds for which a result is kept."""
    max_crashes: int
    tally: Tally
    logger: logging.Logger
    """The logger of the module that defines its function."""


class Phase(Enum):
    """A stage in the life of an attempt."""

    CLAIMED = auto()
    """It waits for a slot, or for the first step of its task."""
    RUNNING = auto()
    """Its handler runs."""
    STOPPING = auto()
    """It was cancelled and has not ended."""
    SETTLED = auto()
    """Its outcome is decided, or its lease is lost. Code that still runs no longer changes the outcome."""


_CLAIMED = Phase.CLAIMED  # Python 3.11 takes 0.15 µs to read a member of an enum, and this is done for every job


class Attempt:
    """One execution of a job by this worker."""

    __slots__ = (
        "abandon_at", "claimed_at", "deadline", "envelope", "handler", "history", "lease", "outbox", "phase", "row",
        "started_at", "stop_outcome", "task", "timeout",
    )  # fmt: skip

    def __init__(
        self, lease: str, envelope: Envelope, handler: BoundHandler, history: History | None, outbox: Outbox
    ) -> None:
        """Create an attempt; its settlement is added to `outbox`. All times are those of the monotonic clock."""
        self.lease = lease
        self.envelope = envelope
        self.handler = handler
        self.history = history
        self.outbox = outbox
        self.phase = _CLAIMED
        self.claimed_at = 0.0
        self.started_at = 0.0
        """0: it has not started."""
        timeout = envelope.timeout
        self.timeout = handler.timeout if timeout is None else timeout
        self.deadline = 0.0
        """When its timeout ends and it is stopped."""
        self.abandon_at = 0.0
        """When it is settled without waiting for its code any longer; set when it is stopped."""
        self.stop_outcome: Outcome | None = None
        """Outcome if the attempt was stopped from outside, whatever its code does afterwards; None: it was not."""
        self.row = 0
        """Its row in the memory that the supervisor reads; 0: it has none."""
        self.task: asyncio.Task[None] | None = None

    @property
    def max_crashes(self) -> int:
        """Crashes after which the job is dead: the job's own limit, else the handler's."""
        limit = self.envelope.max_crashes
        return self.handler.max_crashes if limit is None else limit

    @property
    def max_attempts(self) -> int:
        """Maximum number of failed attempts, by the job's own retry policy, else the handler's."""
        policy = self.envelope.retry or self.handler.retry
        return 1 if policy.strategy == "none" else policy.max_attempts

    @property
    def number(self) -> int:
        """Number of the attempt, starting at 1; crashed attempts count."""
        past = self.history
        return 1 if past is None else past.attempts + past.crashes + 1

    @property
    def logger(self) -> logging.Logger:
        """The logger of the handler's module."""
        return self.handler.logger

    @property
    def log_fields(self) -> dict[str, str | int]:
        """The fields of log records that name this attempt."""
        envelope = self.envelope
        return {
            "job_id": envelope.id, "job_name": envelope.name, "queue": envelope.queue, "attempt": self.number,
        }  # fmt: skip

    @property
    def is_cancelled(self) -> bool:
        """Whether the attempt was stopped from outside."""
        return self.stop_outcome is not None

    @property
    def next_deadline(self) -> float:
        """When the worker acts next: it stops a running attempt, and abandons a stopping one."""
        return self.abandon_at if self.phase is Phase.STOPPING else self.deadline

    def __str__(self) -> str:
        """Return `handler job-id`, as log lines name an attempt."""
        return f"{self.handler.name} {self.envelope.id}"
