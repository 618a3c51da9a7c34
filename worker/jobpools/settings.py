"""Read the settings of a process from its environment. Only this module knows the names of the variables.

`worker_env` writes what `WorkerSettings.from_env` reads, for a cluster's Deployments and a laptop's processes alike.
"""

import json
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jobpools.core.jobs.policies import JobDefaults, QueueItem, QueueLimits, QueuePolicy, QueueRef
from jobpools.core.schema import Duration
from jobpools.core.text.validation import SHOWN, explain
from jobpools.errors import ConfigurationError

if TYPE_CHECKING:
    from jobpools.core.pools.specs import Pool

REDIS_URL = "JOBPOOLS_REDIS_URL"
MAX_PAYLOAD = "JOBPOOLS_MAX_PAYLOAD"
READY_FD = "JOBPOOLS_READY_FD"
"""Set by `jobpools up`: the file descriptor to which a worker writes a byte when its app is imported."""
DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"
DEFAULT_MAX_PAYLOAD = 1024 * 1024
DEFAULT_BLOCK_TIMEOUT = 30.0
"""Seconds."""
GRACE_MARGIN = 30.0
"""Seconds beyond the pool's timeout that a stopping worker has to finish its running jobs."""
_VARIABLES = {
    "redis_url": REDIS_URL,
    "pool": "JOBPOOLS_POOL",
    "worker": "JOBPOOLS_WORKER",
    "app": "JOBPOOLS_APP",
    "queues": "JOBPOOLS_QUEUES",
    "concurrency": "JOBPOOLS_CONCURRENCY",
    "job": "JOBPOOLS_JOB",
    "queue": "JOBPOOLS_QUEUE",
    "grace": "JOBPOOLS_GRACE",
    "probe_port": "JOBPOOLS_PROBE_PORT",
    "log": "JOBPOOLS_LOG",
    "log_interval": "JOBPOOLS_LOG_INTERVAL",
    "lease": "JOBPOOLS_LEASE",
    "max_payload": MAX_PAYLOAD,
}
_JSON_EXAMPLES = {"queues": '["emails"]', "job": '{"timeout": "5m"}', "queue": '{"keepDead": 1000}'}
"""By field whose variable holds JSON: an example of its value, for errors."""


class WorkerSettings(BaseModel):
    """All settings of a worker process."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    redis_url: str = DEFAULT_REDIS_URL
    """URL of Redis or Valkey."""
    pool: str = Field(default="default/worker", pattern=r"^[-a-z0-9.]+/[-a-z0-9.]+$")
    """The pool, `namespace/name`, to which the worker belongs."""
    worker: str = Field(default_factory=socket.gethostname, pattern=r"^[^\s:]+$")
    """Name of the pod or process; a random part is added at each start, so that a name can be reused."""
    app: str = ""
    """`module:name` of the App; empty if the caller passes the App."""
    queues: tuple[QueueItem, ...] = ()
    """Queues from which the worker claims, with weights; empty: those of the app's handlers, with equal weights."""
    concurrency: int = Field(default=5, ge=1, le=1000)
    """Number of slots: the maximum number of jobs that run at the same time."""
    job: JobDefaults = JobDefaults()
    """Defaults for jobs whose handler and envelope set no value."""
    queue: QueuePolicy = QueuePolicy()
    """The order in which the priorities are claimed, and how many ended jobs each queue keeps."""
    grace: Duration = 30.0
    """Seconds after SIGTERM in which running jobs may finish before they are handed back."""
    probe_port: int = Field(default=0, ge=0, le=65535)
    """Port of /livez, /readyz and /metrics; 0: they are not served."""
    log: Literal["text", "json"] = "text"
    """Format of the log on stderr."""
    log_interval: Duration = 60.0
    """Seconds between two lines of the log that say what the worker has done; 0: no such lines."""
    lease: Duration = Field(default=10.0, gt=0)
    """Duration of a lease, in seconds. A worker renews its leases every quarter of it, and rescues expired leases of
    other workers every third of it. The jobs of a worker that died are therefore rescued within 1.4 times the lease."""
    max_payload: int = Field(default=DEFAULT_MAX_PAYLOAD, ge=1024)
    """Maximum bytes of an encoded job and of a result."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str], **options: Any) -> "WorkerSettings":
        """Return the settings of an environment. Values of `options` that are not None override it, as flags do.

        Raises:
            ConfigurationError: A value is invalid; the message names its variable or flag.
        """
        values: dict[str, Any] = {}
        for field, variable in _VARIABLES.items():
            if text := environ.get(variable, ""):
                values[field] = _from_json(field, text) if field in _JSON_EXAMPLES else _number_or_text(field, text)
        values |= {field: value for field, value in options.items() if value is not None}
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field, *inside = map(str, first["loc"])
            given = f"--{field.replace('_', '-')}" if options.get(field) is not None else _VARIABLES.get(field, field)
            where = ".".join((given, *inside))
            raise ConfigurationError(f"{where}: {explain(first)}") from error


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


def redis_url(environ: Mapping[str, str], given: str | None = None) -> str:
    """Return the given URL, else JOBPOOLS_REDIS_URL, else redis://127.0.0.1:6379/0."""
    return given or environ.get(REDIS_URL) or DEFAULT_REDIS_URL


def max_payload(environ: Mapping[str, str], given: int | None = None) -> int:
    """Return the maximum bytes of an encoded job: the given number, else JOBPOOLS_MAX_PAYLOAD, else 1 MiB."""
    if given is not None:
        return given
    text = environ.get(MAX_PAYLOAD, "")
    if not text:
        return DEFAULT_MAX_PAYLOAD
    if not text.isdigit():
        raise ConfigurationError(
            f"{MAX_PAYLOAD}: {text!r} is not a number of bytes; write it as in {DEFAULT_MAX_PAYLOAD}"
        )
    return int(text)


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


def _from_json(field: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigurationError(
            f"{_VARIABLES[field]}: {text[:SHOWN]!r} is not JSON: {error}; write it as in {_JSON_EXAMPLES[field]}"
        ) from error


def _number_or_text(field: str, text: str) -> Any:
    """Return a number for `JOBPOOLS_GRACE=90`, and the text for `=90s`: both are durations."""
    if field in ("grace", "lease", "log_interval"):
        try:
            return float(text)
        except ValueError:
            return text
    return text
