"""The part of a pool's spec that its workers obey: queues, defaults of jobs, and the order of claims.

It is a module of its own so that a worker does not import the scaling models.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Field, WithJsonSchema

from jobpools.core.jobs.overflow import Overflow
from jobpools.core.jobs.retry import Retry
from jobpools.core.schema import Duration, Model, Timeout
from jobpools.core.text.names import QUEUE_LIMIT, QUEUE_PATTERN

Queue = Annotated[str, Field(pattern=QUEUE_PATTERN, max_length=QUEUE_LIMIT)]


class QueueRef(Model):
    """Queue from which the pool's workers claim jobs."""

    name: Queue
    """Name of the queue."""
    weight: int = Field(default=1, ge=1, le=1000)
    """Share of the workers' slots that the queue gets while several queues have jobs."""


def _expand_name(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


QueueItem = Annotated[
    QueueRef, BeforeValidator(_expand_name), WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True})
]
"""In YAML, a name or `{name, weight}`. A structural schema has no `oneOf` of types, so the operator validates it."""


class JobDefaults(Model):
    """Defaults for jobs that set no other value in `@app.job` or `options`."""

    timeout: Timeout = 300.0
    """Maximum duration of one attempt. A longer one ends as timed out; `retry.onTimeout` says whether it is retried."""
    retry: Retry = Retry()
    """When and how often a failed job is retried."""
    max_crashes: int = Field(default=3, ge=1)
    """Number of attempts that may end with a crash of their worker before the job is moved to the dead-letter queue."""
    result_ttl: Duration = 86400.0
    """How long a completed job and its result are kept. `0s` keeps neither."""


class PriorityMode(StrEnum):
    """The rule by which workers choose among jobs of different priorities."""

    STRICT = "Strict"
    WEIGHTED = "Weighted"


class Weights(Model):
    """Shares of the claims of each priority, with `priority: Weighted`."""

    high: int = Field(default=100, ge=1)
    """Share of jobs with priority high."""
    normal: int = Field(default=50, ge=1)
    """Share of jobs with priority normal."""
    low: int = Field(default=10, ge=1)
    """Share of jobs with priority low."""


MAX_DEPTH, MAX_SCHEDULED = 10_000, 10_000
"""Default number of queued jobs and of scheduled jobs that a queue accepts."""
KEEP_COMPLETED, KEEP_DEAD = 100_000, 10_000
"""Default number of completed jobs and of dead letters that a queue keeps."""
KEEP_DEAD_FOR = 180 * 86400.0
"""Default maximum age of a dead letter, in seconds: six months, as in Sidekiq."""


class Keep(NamedTuple):
    """The ended jobs that a queue keeps."""

    completed: int = KEEP_COMPLETED
    """Maximum number of completed and cancelled jobs."""
    dead: int = KEEP_DEAD
    """Maximum number of dead letters."""
    dead_for: float = KEEP_DEAD_FOR
    """Maximum age of a dead letter in seconds; 0: unlimited."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The numbers of jobs that a queue accepts, defaults included."""

    max_depth: int = MAX_DEPTH
    """Maximum number of queued jobs; 0: unlimited."""
    overflow: Overflow = Overflow.BLOCK
    max_scheduled: int = MAX_SCHEDULED
    """Maximum number of scheduled jobs; 0: unlimited."""


DEFAULT_LIMITS = Limits()


class QueueLimits(Model):
    """The limits that a spec or a user sets; None leaves a limit as it is."""

    max_depth: int | None = Field(default=None, ge=0, le=100_000_000)
    """Maximum number of queued jobs; `0`: unlimited. Only enqueueing is limited: retries, scheduled jobs that fall due
    and fired schedules always fit. Default: 10000, or what `jobpools queues set` has set."""
    overflow: Overflow | None = None
    """What happens to a job that is enqueued while the queue is full. `Block` lets the producer wait for room;
    `DropNewest` and `DropOldest` move a job to the dead-letter queue. Default: `Block`, or what `jobpools queues set`
    has set."""
    max_scheduled: int | None = Field(default=None, ge=0, le=100_000_000)
    """Maximum number of scheduled jobs (`delay`, `at`); `0`: unlimited. Beyond it, enqueueing a scheduled job fails.
    Default: 10000, or what `jobpools queues set` has set."""

    def matches(self, limits: Limits) -> bool:
        """Return whether a queue has the limits that are set here; those that are None may have any value."""
        wanted = ((name, getattr(self, name)) for name in QueueLimits.model_fields)
        return all(value is None or value == getattr(limits, name) for name, value in wanted)


class QueuePolicy(QueueLimits):
    """The order in which a queue's jobs are claimed, how many it accepts, and how many ended jobs it keeps."""

    priority: PriorityMode = PriorityMode.STRICT
    """`Strict` claims all jobs of a higher priority first. `Weighted` claims by `weights`, so that every priority makes
    progress."""
    weights: Weights = Weights()
    """Shares of the three priorities; used only with `priority: Weighted`."""
    keep_completed: int = Field(default=KEEP_COMPLETED, ge=0, le=10_000_000)
    """Maximum number of completed and cancelled jobs that each queue keeps. Beyond it the oldest are removed, even
    before their results' TTL has passed. `0` keeps none."""
    keep_dead: int = Field(default=KEEP_DEAD, ge=0, le=10_000_000)
    """Maximum number of dead letters that each queue keeps. Beyond it the oldest are removed and counted as
    dropped. `0` keeps none."""
    keep_dead_for: Duration = KEEP_DEAD_FOR
    """Maximum time for which a dead letter is kept. Older ones are removed and counted as dropped. `0s` keeps them
    until `keepDead` others died after them."""

    @property
    def keep(self) -> Keep:
        """Return which ended jobs the queue keeps."""
        return Keep(self.keep_completed, self.keep_dead, self.keep_dead_for)
