"""The table of all settings: the reader, `jobpools config`, `--help` and docs/configuration.md follow it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

OWN_FILE, PROJECT_FILE = "jobpools.toml", "pyproject.toml"
"""Names of the files with settings; in a pyproject.toml they are in the table `[tool.jobpools]`."""
DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"
PREFIX = "JOBPOOLS_"
"""Start of the name of every variable."""


class Kind(StrEnum):
    """The form of a setting's value."""

    TEXT = "text"
    INTEGER = "integer"
    DURATION = "duration"
    NAMES = "names"
    """Names with commas between them."""
    JSON = "JSON"
    """JSON in a variable, a list or table in a file."""


class Setting(NamedTuple):
    """One setting of a process."""

    name: str
    """Name in a file. The variable is JOBPOOLS_ and this name in capitals."""
    kind: Kind
    default: Any
    """Value that applies when no source sets it; None: it is computed or is that of `spec.<name>`."""
    doc: str
    """One or two sentences: `--help` shows the first, docs/configuration.md shows all."""
    example: str
    """A value as it is written in the environment, for errors."""
    option: str = ""
    """Option of `jobpools worker`; APP: its argument; empty: it has none."""
    shown_default: str = ""
    """Text that stands for the default in the documentation; empty: the default itself."""

    @property
    def variable(self) -> str:
        """Name of the environment variable."""
        return f"{PREFIX}{self.name.upper()}"

    @property
    def help(self) -> str:
        """First sentence of `doc`, for `--help`."""
        return f"{self.doc.partition('. ')[0].rstrip('.').replace('`', '')}."


CONFIG = Setting(
    "config", Kind.TEXT, "",
    "File with settings, in place of `jobpools.toml` or `pyproject.toml` in the current folder",
    "deploy/jobpools.toml", "--config", "none",
)  # fmt: skip
"""Where the file is: it cannot be set in the file itself."""

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "preset", Kind.TEXT, None, "Set of defaults: development or production",
        "production", "--preset", "none",
    ),
    Setting(
        "redis_url", Kind.TEXT, DEFAULT_REDIS_URL,
        "URL of Redis or Valkey. For a worker, the URL of its App applies if neither an option nor the variable is "
        "set. Handlers enqueue in the same Redis",
        "redis://127.0.0.1:6379/0", "--redis",
    ),
    Setting("app", Kind.TEXT, "", "The App, as in shop.jobs:app", "shop.jobs:app", "APP", "none"),
    Setting(
        "queues", Kind.JSON, (),
        "Queues and their weights, as in emails,reports=2. Default: those of the App's handlers. In the variable "
        'and in a file: a list such as `["emails", {"name": "reports", "weight": 2}]`',
        '["emails"]', "--queues", "none",
    ),
    Setting(
        "concurrency", Kind.INTEGER, 5, "Number of slots: how many jobs run at the same time, 1 to 1000", "20",
        "--concurrency",
    ),
    Setting(
        "job", Kind.JSON, None,
        "Defaults of jobs: timeout, retry, crash limit and result TTL, with the keys of `spec.job`",
        '{"timeout": "5m"}', "", "spec.job",
    ),
    Setting(
        "queue", Kind.JSON, None,
        "Order in which the priorities are claimed, and how many completed jobs (`keepCompleted`, 100000) and dead "
        "letters (`keepDead`, 10000; `keepDeadFor`, 180d) each queue keeps, with the keys of `spec.queue`",
        '{"keepDead": 1000}', "", "spec.queue",
    ),
    Setting(
        "grace", Kind.DURATION, 30.0,
        "How long running jobs may take after SIGTERM before they are handed back. In a pool: the job timeout + 30 s; "
        "in a pod 5 s less, to hand jobs back before the kubelet kills it",
        "30s", "--grace",
    ),
    Setting(
        "lease", Kind.DURATION, 10.0,
        "Duration of a lease: how long a worker keeps its jobs without renewing their leases. It renews them every "
        "quarter of it; other workers rescue the jobs of a dead worker within 1.4 times the lease",
        "10s",
    ),
    Setting(
        "max_payload", Kind.INTEGER, 1024 * 1024, "Maximum bytes of an encoded job and of a result, at least 1024",
        "1048576",
    ),
    Setting("log", Kind.TEXT, "text", "Format of the log on stderr: text or json", "json", "--log"),
    Setting(
        "log_level", Kind.TEXT, "info",
        "Lowest level of the worker's own lines in the log: debug, info, warning or error. `debug` has a line for each "
        "completed job; lines of handlers are not affected",
        "debug", "--log-level",
    ),
    Setting(
        "log_interval", Kind.DURATION, 60.0,
        "Time between two log lines about the worker's activity; 0s: no such lines. A line has the number of jobs "
        "completed and failed since the last one, their rate, and p50, p95 and p99 of waiting and running",
        "5m", "--log-interval",
    ),
    Setting(
        "probe_port", Kind.INTEGER, 0,
        "Port of `/livez`, `/readyz` and `/metrics`; 0 opens no port. In pods: 8080", "8080", "--probe-port",
    ),
    Setting(
        "pool", Kind.TEXT, "default/worker", "Pool that the worker reports to, as namespace/name", "default/emails",
        "--pool",
    ),
    Setting(
        "worker", Kind.TEXT, None, "Name of the worker. Each start adds a random part", "emails-1", "", "host name"
    ),
)  # fmt: skip
"""All settings, in the order in which they are shown."""

OPERATOR_SETTINGS: tuple[Setting, ...] = (
    Setting(
        "redis_url", Kind.TEXT, DEFAULT_REDIS_URL,
        "URL of the Redis of all pools and schedules without `spec.redis`", "redis://127.0.0.1:6379/0",
    ),
    Setting(
        "namespaces", Kind.NAMES, (),
        "Namespaces to manage, separated by commas. If it is not set, all namespaces", "shop,billing", "", "none",
    ),
    Setting("lease_name", Kind.TEXT, "jobpools-operator", "Name of the Lease that the leader holds", "shop-operator"),
    Setting("lease_namespace", Kind.TEXT, "default", "Namespace of that Lease", "jobpools-system"),
    Setting("identity", Kind.TEXT, None, "Holder of the Lease: the pod's name", "operator-1", "", "host name"),
    Setting("probe_port", Kind.INTEGER, 8080, "Port of `/livez`, `/readyz` and `/metrics`; 0 opens no port", "8080"),
    Setting("log", Kind.TEXT, "text", "Format of the log on stderr: text or json", "json"),
)  # fmt: skip
"""The settings of an operator, which come from its environment only."""

BY_NAME: Mapping[str, Setting] = {setting.name: setting for setting in SETTINGS}
"""The settings by name."""

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "development": {"concurrency": 10, "job.retry.max_attempts": 3, "log_interval": 60.0},
    "production": {"concurrency": 20, "job.retry.max_attempts": 5, "log_interval": 300.0},
}
"""The values of each preset, by the name of the setting; dots separate the keys inside a group."""
