"""What of a pool's spec goes along to its workers: queues, what holds for their jobs, in which order they are claimed.

Apart from the rest, for a worker imports this and has no use for that.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from jobpools.core.jobs.retry import Retry
from jobpools.core.schema import Duration, Model, Timeout
from jobpools.core.text.names import QUEUE_LIMIT, QUEUE_PATTERN

Queue = Annotated[str, Field(pattern=QUEUE_PATTERN, max_length=QUEUE_LIMIT)]


class QueueRef(Model):
    """A queue that the pool's workers serve."""

    name: Queue
    """The queue's name."""
    weight: int = Field(default=1, ge=1, le=1000)
    """Its share of the claims when several queues have work."""


def _queue_ref(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


QueueEntry = Annotated[
    QueueRef, BeforeValidator(_queue_ref), WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True})
]
"""In YAML a bare name or `{name, weight}`. A CRD cannot say `one of`, so the operator judges what stands there."""


class JobDefaults(Model):
    """What holds for a job that does not say otherwise in `@app.job` or `options`."""

    timeout: Timeout = 300.0
    """The longest an attempt may run."""
    retry: Retry = Retry()
    """What happens after a failed attempt."""
    max_crashes: int = Field(default=3, ge=1)
    """How many times a job may take its worker down before it goes to the dead-letter queue."""
    result_ttl: Duration = 86400.0
    """How long a completed job and its result stay readable; `0s`: not at all."""


class PriorityMode(StrEnum):
    """How the three priorities share the claims."""

    STRICT = "Strict"
    WEIGHTED = "Weighted"


class Weights(Model):
    """Shares of the claims in mode Weighted."""

    high: int = Field(default=100, ge=1)
    """The share of jobs enqueued with priority high."""
    normal: int = Field(default=50, ge=1)
    """The share of jobs enqueued with priority normal."""
    low: int = Field(default=10, ge=1)
    """The share of jobs enqueued with priority low."""


KEEP_COMPLETED, KEEP_DEAD = 100_000, 10_000
"""Default number of completed jobs and of dead letters that a queue keeps."""


class QueuePolicy(Model):
    """The order in which a queue's jobs are claimed, and the number of ended jobs that it keeps."""

    priority: PriorityMode = PriorityMode.STRICT
    """`Strict`: high before normal before low; `Weighted`: by `weights`, so that low never starves."""
    weights: Weights = Weights()
    """Only with `priority: Weighted`."""
    keep_completed: int = Field(default=KEEP_COMPLETED, ge=0, le=10_000_000)
    """Maximum number of completed and cancelled jobs that each queue keeps. Beyond it the oldest are removed, even
    before their results' TTL has passed. `0` keeps none."""
    keep_dead: int = Field(default=KEEP_DEAD, ge=0, le=10_000_000)
    """Maximum number of dead letters that each queue keeps. Beyond it those that died first are dropped, and counted.
    `0` keeps none."""

    @property
    def keep(self) -> tuple[int, int]:
        """Completed jobs and dead letters to keep."""
        return self.keep_completed, self.keep_dead
