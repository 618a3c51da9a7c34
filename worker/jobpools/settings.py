"""The settings of a process, with their types and limits; `settings_reader` reads them.

`worker_env` writes variables that a worker reads, for a cluster's Deployments and a laptop's processes alike.
"""

import json
import socket
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jobpools.core.configuration.settings_table import BY_NAME
from jobpools.core.jobs.policies import JobDefaults, QueueItem, QueueLimits, QueuePolicy, QueueRef
from jobpools.core.schema import Duration
from jobpools.core.text.validation import explain
from jobpools.errors import ConfigurationError

if TYPE_CHECKING:
    from jobpools.core.pools.specs import Pool

REDIS_URL = BY_NAME["redis_url"].variable
READY_FD = "JOBPOOLS_READY_FD"
"""Set by `jobpools up`: the file descriptor to which a worker writes a byte when its app is imported."""
DEFAULT_MAX_PAYLOAD: int = BY_NAME["max_payload"].default
DEFAULT_BLOCK_TIMEOUT = 30.0
"""Seconds."""
GRACE_MARGIN = 30.0
"""Seconds beyond the pool's timeout that a stopping worker has to finish its running jobs."""


class WorkerSettings(BaseModel):
    """All settings of a worker process. `core.configuration.settings_table` describes each of them.

    Durations are in seconds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: Literal["development", "production"] | None = None
    redis_url: str = BY_NAME["redis_url"].default
    app: str = BY_NAME["app"].default
    queues: tuple[QueueItem, ...] = BY_NAME["queues"].default
    concurrency: int = Field(default=BY_NAME["concurrency"].default, ge=1, le=1000)
    job: JobDefaults = JobDefaults()
    queue: QueuePolicy = QueuePolicy()
    grace: Duration = BY_NAME["grace"].default
    lease: Duration = Field(default=BY_NAME["lease"].default, gt=0)
    max_payload: int = Field(default=BY_NAME["max_payload"].default, ge=1024)
    log: Literal["text", "json"] = BY_NAME["log"].default
    log_level: Literal["debug", "info", "warning", "error"] = BY_NAME["log_level"].default
    log_interval: Duration = BY_NAME["log_interval"].default
    probe_port: int = Field(default=BY_NAME["probe_port"].default, ge=0, le=65535)
    pool: str = Field(default=BY_NAME["pool"].default, pattern=r"^[-a-z0-9.]+/[-a-z0-9.]+$")
    worker: str = Field(default_factory=socket.gethostname, pattern=r"^[^\s:]+$")


class ProducerSettings(BaseModel):
    """The settings of a process that enqueues jobs: a subset of those of a worker."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: Literal["development", "production"] | None = None
    redis_url: str = BY_NAME["redis_url"].default
    max_payload: int = Field(default=BY_NAME["max_payload"].default, ge=1024)


def worker_env(pool: "Pool", redis_url: str) -> dict[str, str]:
    """Return the environment of a pool's workers, without JOBPOOLS_WORKER and JOBPOOLS_PROBE_PORT."""
    spec = pool.spec
    return {
        REDIS_URL: redis_url,
        "JOBPOOLS_POOL": pool.meta.key,
        "JOBPOOLS_APP": spec.app,
        "JOBPOOLS_QUEUES": json.dumps([queue.model_dump(by_alias=True) for queue in spec.queues]),
        "JOBPOOLS_CONCURRENCY": str(spec.concurrency),
        "JOBPOOLS_JOB": spec.job.model_dump_json(by_alias=True),
        "JOBPOOLS_QUEUE": spec.queue.model_dump_json(by_alias=True, exclude=set(QueueLimits.model_fields)),
        "JOBPOOLS_GRACE": f"{spec.job.timeout + GRACE_MARGIN:g}",
    }


def parse_queues(text: str) -> tuple[QueueRef, ...]:
    """Return the queues of a flag such as `emails,reports=2`. Raises ConfigurationError."""
    found: list[QueueRef] = []
    for part in text.split(","):
        name, equals, weight = (word.strip() for word in part.partition("="))
        try:
            if not name or (equals and not weight.isdigit()):
                raise ConfigurationError(
                    f"--queues: {part!r} is not a queue; write names, each with or without a weight, as in "
                    "emails,reports=2"
                )
            found.append(QueueRef.model_validate({"name": name, "weight": int(weight or 1)}))
        except ValidationError as error:
            raise ConfigurationError(f"--queues: {name}: {explain(error.errors(include_url=False)[0])}") from error
    names = [queue.name for queue in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigurationError(f"--queues: duplicate queue: {twice}; name each queue once")
    return tuple(found)
